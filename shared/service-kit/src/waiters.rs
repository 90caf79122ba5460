//! [`Waiters`]: requests that wait for news about something.

use std::{collections::BTreeMap, fmt, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

/// The requests of this instance that wait for news `N` about a key `K`: a bounded number. Clones
/// share them.
pub struct Waiters<K, N> {
    max: usize,
    waiting: Arc<Mutex<Waiting<K, N>>>,
}

struct Waiting<K, N> {
    next: u64,
    by_key: BTreeMap<(K, u64), Entry<N>>,
    /// Those of them that have no place among the bounded number.
    besides: usize,
}

struct Entry<N> {
    is_besides: bool,
    wants: Wants<N>,
    news: watch::Sender<Option<N>>,
}

/// One that waits. Dropping it, as a disconnect does, takes it off the list.
///
/// Register, then look, then wait: news after the registration are kept until they are waited for,
/// so none is missed. Of several only the latest is kept.
pub struct Waiter<K: Ord, N> {
    key: (K, u64),
    news: watch::Receiver<Option<N>>,
    waiting: Arc<Mutex<Waiting<K, N>>>,
}

/// As many wait as may: come again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} requests are waiting, which is as many as may")]
pub struct Full(pub usize);

type Wants<N> = Box<dyn Fn(&N) -> bool + Send>;

impl<K: Ord + Clone, N> Waiting<K, N> {
    fn insert(
        &mut self,
        key: K,
        wants: Wants<N>,
        is_besides: bool,
    ) -> ((K, u64), watch::Receiver<Option<N>>) {
        let key = (key, self.next);
        self.next += 1;
        self.besides += usize::from(is_besides);
        let (sender, news) = watch::channel(None);
        self.by_key.insert(key.clone(), Entry { is_besides, wants, news: sender });
        (key, news)
    }
}

impl<K: Ord + Clone, N: Clone> Waiters<K, N> {
    /// None yet, and never more than `max`.
    pub fn new(max: usize) -> Self {
        let waiting = Waiting { next: 0, by_key: BTreeMap::new(), besides: 0 };
        Self { max, waiting: Arc::new(Mutex::new(waiting)) }
    }

    /// Waits from now on for those news about `key` that it `wants`.
    ///
    /// # Errors
    /// [`Full`].
    pub fn register(
        &self,
        key: K,
        wants: impl Fn(&N) -> bool + Send + 'static,
    ) -> Result<Waiter<K, N>, Full> {
        let mut waiting = self.waiting.lock();
        if waiting.by_key.len() - waiting.besides >= self.max {
            return Err(Full(self.max));
        }
        let (key, news) = waiting.insert(key, Box::new(wants), false);
        Ok(Waiter { key, news, waiting: Arc::clone(&self.waiting) })
    }

    /// The same without a place among the bounded number: the caller has a bound of its own.
    pub fn register_besides(
        &self,
        key: K,
        wants: impl Fn(&N) -> bool + Send + 'static,
    ) -> Waiter<K, N> {
        let (key, news) = self.waiting.lock().insert(key, Box::new(wants), true);
        Waiter { key, news, waiting: Arc::clone(&self.waiting) }
    }

    /// There are news about `key`.
    pub fn tell(&self, key: K, news: &N) {
        let waiting = self.waiting.lock();
        for (_, entry) in waiting.by_key.range((key.clone(), 0)..=(key, u64::MAX)) {
            entry.tell(news);
        }
    }

    /// The news concern every key.
    pub fn tell_all(&self, news: &N) {
        self.waiting.lock().by_key.values().for_each(|entry| entry.tell(news));
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.lock().by_key.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<N: Clone> Entry<N> {
    fn tell(&self, news: &N) {
        if (self.wants)(news) {
            self.news.send_replace(Some(news.clone()));
        }
    }
}

impl<K: Ord, N: Clone> Waiter<K, N> {
    /// The latest news since the last call, or since the registration; waits if there are none.
    pub async fn news(&mut self) -> N {
        let told = "the sender is on the list as long as this is";
        self.news.changed().await.expect(told);
        self.news.borrow_and_update().clone().expect("it changes to news only")
    }
}

impl<K: Ord, N> Drop for Waiter<K, N> {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock();
        let left = waiting.by_key.remove(&self.key);
        waiting.besides -= usize::from(left.is_some_and(|entry| entry.is_besides));
    }
}

impl<K, N> Clone for Waiters<K, N> {
    fn clone(&self) -> Self {
        Self { max: self.max, waiting: Arc::clone(&self.waiting) }
    }
}

impl<K, N> fmt::Debug for Waiters<K, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting.lock().by_key.len();
        f.debug_struct("Waiters").field("max", &self.max).field("waiting", &waiting).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    /// The news that are there already.
    fn told<N: Clone>(waiter: &mut Waiter<u8, N>) -> Option<N> {
        match pin!(waiter.news()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(news) => Some(news),
            Poll::Pending => None,
        }
    }

    #[test]
    fn news_between_look_and_wait_are_not_missed() {
        let waiters = Waiters::new(10);
        let mut one = waiters.register(1, |_| true).unwrap();
        let mut other = waiters.register(2, |_| true).unwrap();
        waiters.tell(1, &"validated");
        waiters.tell(1, &"paid");
        assert_eq!((told(&mut one), told(&mut other)), (Some("paid"), None));
        assert_eq!(told(&mut one), None, "the same news are told once");
        waiters.tell_all(&"look again");
        assert_eq!((told(&mut one), told(&mut other)), (Some("look again"), Some("look again")));
    }

    #[test]
    fn each_hears_what_it_wants_only() {
        let waiters = Waiters::new(10);
        let mut even = waiters.register(1, |n| n % 2 == 0).unwrap();
        let mut large = waiters.register(1, |n| *n > 100).unwrap();
        waiters.tell(1, &4);
        waiters.tell(1, &5);
        assert_eq!((told(&mut even), told(&mut large)), (Some(4), None));
    }

    #[test]
    fn they_are_bounded_and_leave_when_dropped() {
        let waiters = Waiters::<u8, ()>::new(2);
        let first = waiters.register(1, |()| true).unwrap();
        let _second = waiters.register(1, |()| true).unwrap();
        assert_eq!(waiters.register(2, |()| true).err(), Some(Full(2)));
        drop(first);
        assert_eq!(waiters.len(), 1);
        assert!(waiters.register(2, |()| true).is_ok());
    }

    #[test]
    fn who_has_a_place_elsewhere_takes_none_here() {
        let waiters = Waiters::new(1);
        let mut besides = [1, 2].map(|key| waiters.register_besides(key, |_| true));
        let one = waiters.register(1, |_| true).unwrap();
        assert_eq!(waiters.register(1, |_| true).err(), Some(Full(1)));
        waiters.tell(1, &"news");
        assert_eq!(told(&mut besides[0]), Some("news"));
        drop((besides, one));
        assert_eq!(waiters.len(), 0);
        assert!(waiters.register(1, |_| true).is_ok());
    }
}
