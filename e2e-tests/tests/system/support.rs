//! The shops of the tests, and whose turn it is in each.

use client::{Shop, StartOptions};
use e2e_tests::{Outside, Turn};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

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

/// A shop that ends with the process, when its standard input closes; and whose turn it is.
struct Slot {
    shop: OnceCell<Shop>,
    turn: RwLock<()>,
}

impl Slot {
    const fn new() -> Self {
        Self { shop: OnceCell::const_new(), turn: RwLock::const_new(()) }
    }

    async fn outside(&'static self) -> Outside {
        let start = || async { e2e_tests::start(options()).await.expect("the shop starts") };
        Outside::new(self.shop.get_or_init(start).await)
    }
}

/// Ten minutes: no order of a test ends by its deadline because the machine is slow, or a server
/// takes long to come back. Tests of deadlines set their own.
const DEADLINE_MS: &str = "600000";

fn options() -> StartOptions {
    let env = vec![("orders".into(), "ORDER_DEADLINE_MS".into(), DEADLINE_MS.into())];
    StartOptions { env, ..StartOptions::default() }
}

/// A shop that only this test uses.
pub async fn spoiled() -> Outside {
    SPOILED.outside().await
}

/// A shop whose topics and catalog other tests have changed before.
pub async fn changed() -> Turn<RwLockWriteGuard<'static, ()>> {
    let turn = CHANGED.turn.write().await;
    Turn::new(CHANGED.outside().await, turn)
}

/// A shop with the Workshop on its page, for this test alone.
pub async fn demo() -> Turn<RwLockWriteGuard<'static, ()>> {
    let turn = DEMO.turn.write().await;
    let options = || StartOptions { demo: true, ..options() };
    let start = || async { Shop::start(options()).await.expect("the shop starts") };
    let outside = Outside::new(DEMO.shop.get_or_init(start).await);
    Turn::new(outside, turn)
}

/// A shop with other tests in it at the same time.
pub async fn together() -> Turn<RwLockReadGuard<'static, ()>> {
    let turn = BUSY.turn.read().await;
    Turn::new(BUSY.outside().await, turn)
}

/// A healthy shop without another test in it: the first free one.
pub async fn alone() -> Turn<RwLockWriteGuard<'static, ()>> {
    let (slot, turn) = tokio::select! {
        biased;
        turn = QUIET.turn.write() => (&QUIET, turn),
        turn = BUSY.turn.write() => (&BUSY, turn),
    };
    Turn::new(slot.outside().await, turn)
}
