//! One shop for all tests, and whose turn it is.

use e2e_tests::Outside;
use shop::client::{Shop, StartOptions};
use std::ops::Deref;
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// It ends with the process, when its standard input closes.
static SHOP: OnceCell<Shop> = OnceCell::const_new();
static TURN: RwLock<()> = RwLock::const_new(());

/// A shop for a test, and its turn.
pub struct Turn<G> {
    outside: Outside,
    _turn: G,
}

impl<G> Deref for Turn<G> {
    type Target = Outside;

    fn deref(&self) -> &Outside {
        &self.outside
    }
}

async fn outside() -> Outside {
    let start =
        || async { e2e_tests::start(StartOptions::default()).await.expect("the shop starts") };
    Outside::new(SHOP.get_or_init(start).await)
}

/// The shop, with other tests in it at the same time.
pub async fn together() -> Turn<RwLockReadGuard<'static, ()>> {
    let turn = TURN.read().await;
    Turn { outside: outside().await, _turn: turn }
}

/// The shop, all of it healthy, with nobody else in it.
pub async fn alone() -> Turn<RwLockWriteGuard<'static, ()>> {
    let turn = TURN.write().await;
    Turn { outside: outside().await, _turn: turn }
}
