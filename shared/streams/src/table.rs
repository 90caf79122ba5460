//! [`GlobalTable`]: a whole compacted topic in memory, in every instance.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::watch;

/// A row, or why it cannot be read.
pub type Row<V> = Result<V, Arc<str>>;

/// The rows of a compacted topic, all partitions, which a follower keeps up to date. Reads never
/// wait. Clones share the rows.
pub struct GlobalTable<K, V> {
    rows: Arc<RwLock<HashMap<K, Row<V>>>>,
    ready: watch::Receiver<bool>,
}

/// Keeps a [`GlobalTable`] up to date.
pub struct TableWriter<K, V> {
    rows: Arc<RwLock<HashMap<K, Row<V>>>>,
    ready: watch::Sender<bool>,
}

impl<K, V> Clone for GlobalTable<K, V> {
    fn clone(&self) -> Self {
        Self { rows: Arc::clone(&self.rows), ready: self.ready.clone() }
    }
}

impl<K: Eq + Hash, V: Clone> GlobalTable<K, V> {
    /// An empty table that is not ready, and the handle that fills it.
    pub fn new() -> (Self, TableWriter<K, V>) {
        let rows = Arc::default();
        let (sender, ready) = watch::channel(false);
        (Self { rows: Arc::clone(&rows), ready }, TableWriter { rows, ready: sender })
    }

    /// A table that never changes, for tests and the simulation.
    pub fn fixed(rows: impl IntoIterator<Item = (K, V)>) -> Self {
        let rows = rows.into_iter().map(|(key, row)| (key, Ok(row)));
        Self::of(rows)
    }

    /// The same, of rows some of which cannot be read.
    pub fn of(rows: impl IntoIterator<Item = (K, Row<V>)>) -> Self {
        let rows = Arc::new(RwLock::new(rows.into_iter().collect()));
        Self { rows, ready: watch::channel(true).1 }
    }

    /// The row of `key`. One that cannot be read takes the place of the row before it: what its
    /// owner has overwritten is not valid any more, and once the topic is compacted no
    /// instance could
    /// read it back.
    pub fn get(&self, key: &K) -> Option<Row<V>> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Whether the topic has been read to its end once.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Wait until the topic has been read to its end once: for ever, if its follower ends before.
    pub async fn ready(&self) {
        if self.ready.clone().wait_for(|ready| *ready).await.is_err() {
            std::future::pending().await
        }
    }
}

impl<K: Eq + Hash, V> TableWriter<K, V> {
    /// Set the row of `key`, or remove it.
    pub fn set(&self, key: K, row: Option<Row<V>>) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        match row {
            Some(row) => rows.insert(key, row),
            None => rows.remove(&key),
        };
    }

    /// The topic has been read to its end. Gives the number of rows, if that is news.
    pub fn reached_end(&self) -> Option<usize> {
        let is_news = self.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
        is_news.then(|| self.rows.read().unwrap_or_else(PoisonError::into_inner).len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    fn is_over(wait: impl Future<Output = ()>) -> bool {
        pin!(wait).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_table_is_ready_when_it_was_read_and_not_when_its_follower_is_gone() {
        let (table, writer) = GlobalTable::new();
        writer.set("TEA", Some(Ok(1)));
        assert_eq!(table.get(&"TEA"), Some(Ok(1)));
        writer.set("TEA", Some(Err("not a number".into())));
        assert_eq!(table.get(&"TEA"), Some(Err("not a number".into())));
        writer.set("TEA", Some(Ok(1)));
        assert!(!table.is_ready() && !is_over(table.ready()));
        assert_eq!((writer.reached_end(), writer.reached_end()), (Some(1), None));
        drop(writer);
        assert!(table.is_ready() && is_over(table.ready()));

        let (unread, writer) = GlobalTable::<&str, i32>::new();
        drop(writer);
        assert!(!unread.is_ready() && !is_over(unread.ready()));
    }
}
