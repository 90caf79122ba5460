//! Torn transactions: a request to commit that is late decides the *next* transaction of its
//! producer (KAFKA-17754). The proxy holds one back until the client has sent it again, and
//! delivers it in the middle of the transaction that follows; then the client dies.

use crate::{
    proxy::{Proxy, State},
    support::{Bench, DEADLINE},
};
use std::{thread, time::Duration};
use tempfile::tempdir;

const SKUS: usize = 6;

/// Two rounds through a wire that holds an EndTxn back, and then a second life of the same instance
/// on a good wire.
async fn two_rounds_on_a_bad_wire(bench: &Bench, doubt_after: Option<Duration>) {
    let proxy = Proxy::before(&bench.bootstrap);
    let (folder, second_folder) = (tempdir().unwrap(), tempdir().unwrap());
    let mut tally = bench.by_hand_through(proxy.address(), folder.path(), doubt_after);
    let wire = proxy.clone();
    // The thread ends with its first failure: by then the wire is cut.
    let first_life =
        thread::spawn(move || while wire.state() != State::Cut && tally.step().is_ok() {});
    bench.reserve(SKUS, 1).await;
    passes(&proxy, State::Repeated).await;
    bench.reserve(SKUS, 1).await;
    passes(&proxy, State::Cut).await;
    let tally = bench.tally(0, second_folder.path(), 0);
    tally.has(3).await;
    bench.reserve(SKUS, 1).await;
    testkit::wait_for("the third round", DEADLINE, || async {
        let counts = bench.counted().await;
        if counts.len() == SKUS && counts.values().all(|n| *n >= 3) { Ok(()) } else { Err(counts) }
    })
    .await;
    tally.stop().await;
    drop(first_life);
}

async fn passes(proxy: &Proxy, wanted: State) {
    testkit::wait_for("the wire", DEADLINE, || async {
        let state = proxy.state();
        let is_past = state == wanted || state == State::Cut;
        if is_past { Ok(()) } else { Err(state) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_commit_cannot_tear_the_transaction_that_follows() {
    let bench = Bench::start("whole").await;
    two_rounds_on_a_bad_wire(&bench, None).await;
    assert!(bench.counted().await.values().all(|count| *count == 3), "counted too often");
}

/// The fault is real: without a new epoch after the commit in doubt, records are counted twice.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_defence_it_does() {
    let bench = Bench::start("torn").await;
    two_rounds_on_a_bad_wire(&bench, Some(Duration::MAX)).await;
    assert!(bench.counted().await.values().any(|count| *count > 3), "nothing was torn");
}
