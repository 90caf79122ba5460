//! [`Known`]: a value that many worlds share, and [`Memo`]: what a function has given before.

use std::{
    collections::HashMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

/// A value that is cheap to clone and to hash: shared, and hashed once. A step changes little of a
/// world, and there are millions of them.
pub struct Known<T> {
    value: Arc<T>,
    hash: u64,
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl<T: Hash> From<T> for Known<T> {
    fn from(value: T) -> Self {
        let hash = hash_of(&value);
        Self { value: Arc::new(value), hash }
    }
}

impl<T: Hash + Default> Default for Known<T> {
    fn default() -> Self {
        T::default().into()
    }
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), hash: self.hash }
    }
}

impl<T> Deref for Known<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Hash for Known<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<T: PartialEq> PartialEq for Known<T> {
    fn eq(&self, other: &Self) -> bool {
        let same = Arc::ptr_eq(&self.value, &other.value);
        same || (self.hash == other.hash && *self.value == *other.value)
    }
}

impl<T: Eq> Eq for Known<T> {}

impl<T: fmt::Debug> fmt::Debug for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// Parts of a memo, so that two threads seldom wait for each other.
const SHARDS: usize = 64;

/// What a function has given for each argument. A service's reaction is a function of its state and
/// its input, and the same pair comes in many worlds.
pub struct Memo<K, V> {
    shards: [Mutex<HashMap<K, V>>; SHARDS],
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl<K: Hash + Eq, V: Clone> Memo<K, V> {
    /// What `make` gives for `key`, which it is asked for once.
    pub fn get(&self, key: K, make: impl FnOnce(&K) -> V) -> V {
        let shard = &self.shards[hash_of(&key) as usize % SHARDS];
        let lock = || shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return known.clone();
        }
        let made = make(&key);
        lock().entry(key).or_insert(made).clone()
    }
}
