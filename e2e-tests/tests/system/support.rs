//! The shops of the tests, and whose turn it is in each.

use client::{Shop, StartOptions};
use e2e_tests::{Outside, Turn, unhurried};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::sync::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Where most tests are, at the same time.
static BUSY: Slot = Slot::new();

/// For tests that need a shop alone: much of such a test is waiting, so that two of them go well
/// beside each other.
static QUIET: Slot = Slot::new();

/// For tests that falsify data.
static SPOILED: Slot = Slot::new();

/// For tests that change its topics or its catalog for good.
static CHANGED: Slot = Slot::new();

/// For tests of the page's Workshop, which only a shop of processes has.
static DEMO: Slot = Slot::new();

/// How long a shop that few tests need may be unused. An idle shop takes a fifth of a core from the
/// tests in the others, and a start some fifteen CPU seconds.
const UNUSED_MAX: Duration = Duration::from_secs(20);

/// A shop that ends with the process, when its standard input closes; and whose turn it is.
struct Slot {
    shop: Mutex<Option<&'static Shop>>,
    turn: RwLock<()>,
    turns: AtomicUsize,
}

impl Slot {
    const fn new() -> Self {
        let (shop, turn) = (Mutex::const_new(None), RwLock::const_new(()));
        Self { shop, turn, turns: AtomicUsize::new(0) }
    }

    /// The shop, which is started if it is not there.
    async fn outside(&'static self, options: StartOptions) -> Outside {
        let mut shop = self.shop.lock().await;
        let shop = match *shop {
            Some(shop) => shop,
            None => {
                let started = e2e_tests::start(options).await.expect("the shop starts");
                shop.insert(Box::leak(Box::new(started)))
            }
        };
        Outside::new(shop)
    }

    /// The shop for one test, at whose end it is seldom needed again.
    async fn seldom(&'static self, options: StartOptions) -> Turn<Alone> {
        let turn = self.turn.write().await;
        self.alone(turn, true, options).await
    }

    async fn alone(
        &'static self,
        turn: RwLockWriteGuard<'static, ()>,
        is_seldom: bool,
        options: StartOptions,
    ) -> Turn<Alone> {
        self.turns.fetch_add(1, Ordering::Relaxed);
        let turn = Alone { slot: self, turn: Some(turn), is_seldom };
        Turn::new(self.outside(options).await, turn)
    }

    /// End the shop unless a test takes it within [`UNUSED_MAX`].
    fn end_unless_used(&'static self) {
        let turns = self.turns.load(Ordering::Relaxed);
        std::thread::spawn(move || {
            std::thread::sleep(UNUSED_MAX);
            let Ok(turn) = self.turn.try_write() else { return };
            if self.turns.load(Ordering::Relaxed) == turns {
                self.end(turn);
            }
        });
    }

    /// End the shop, before the next test has its turn.
    fn end(&'static self, turn: RwLockWriteGuard<'static, ()>) {
        let Some(shop) = self.shop.blocking_lock().take() else { return };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ended = runtime.expect("a runtime can be made").block_on(shop.end());
        ended.expect("a shop ends");
        drop(turn);
    }
}

/// The turn of a test that is alone in its shop.
pub struct Alone {
    slot: &'static Slot,
    turn: Option<RwLockWriteGuard<'static, ()>>,
    is_seldom: bool,
}

impl Drop for Alone {
    fn drop(&mut self) {
        let (slot, turn) = (self.slot, self.turn.take());
        // A test that has failed has not put right what it broke: the next one gets a new shop.
        if let (true, Some(turn)) = (std::thread::panicking(), turn) {
            std::thread::spawn(move || slot.end(turn));
        } else if self.is_seldom {
            slot.end_unless_used();
        }
    }
}

fn options() -> StartOptions {
    unhurried(StartOptions::default())
}

/// A shop that only this test uses.
pub async fn spoiled() -> Turn<Alone> {
    SPOILED.seldom(options()).await
}

/// A shop whose topics and catalog other tests may have changed before.
pub async fn changed() -> Turn<Alone> {
    CHANGED.seldom(options()).await
}

/// A shop with the Workshop on its page, for this test alone.
pub async fn demo() -> Turn<Alone> {
    DEMO.seldom(StartOptions { demo: true, ..options() }).await
}

/// A shop with other tests in it at the same time.
pub async fn together() -> Turn<RwLockReadGuard<'static, ()>> {
    let turn = BUSY.turn.read().await;
    Turn::new(BUSY.outside(options()).await, turn)
}

/// A healthy shop without another test in it: the first free one.
pub async fn alone() -> Turn<Alone> {
    let (slot, turn) = tokio::select! {
        biased;
        turn = QUIET.turn.write() => (&QUIET, turn),
        turn = BUSY.turn.write() => (&BUSY, turn),
    };
    slot.alone(turn, false, options()).await
}
