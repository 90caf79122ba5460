//! Records, offsets and state commit together or not at all, through hiccups, restarts, lost disks
//! and rebalances. [`crate::support::Tally`] numbers what it counts, so that a record that was
//! processed twice, or lost, shows in the log.

use crate::support::Bench;
use tempfile::tempdir;
use tokio::task::block_in_place;

const SKUS: usize = 30;

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_after_its_decision_leaves_no_trace() {
    let bench = Bench::start("hiccup").await;
    let folder = tempdir().unwrap();
    bench.reserve(SKUS, 2).await;
    let mut tally = bench.by_hand(folder.path(), 3);
    for _ in 0..3 {
        assert_eq!(block_in_place(|| tally.failure()), "a hiccup");
        assert!(bench.counted().await.is_empty(), "nothing of it can be read");
    }
    drop(tally);
    let tally = bench.tally(0, folder.path(), 0);
    bench.all_counted(SKUS, 2).await;
    tally.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_processor_goes_on_where_it_was_with_its_disk_or_without() {
    let bench = Bench::start("restart").await;
    let (folder, other_folder) = (tempdir().unwrap(), tempdir().unwrap());
    for (round, folder) in [(1, &folder), (2, &folder), (3, &other_folder)] {
        bench.reserve(SKUS, 1).await;
        let tally = bench.tally(0, folder.path(), 0);
        bench.all_counted(SKUS, round).await;
        tally.stop().await;
    }
    // Back on the first disk: what it missed is in the changelog.
    bench.reserve(SKUS, 1).await;
    let tally = bench.tally(0, folder.path(), 0);
    bench.all_counted(SKUS, 4).await;
    tally.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_share_the_partitions_and_one_takes_over_from_the_other() {
    let bench = Bench::start("share").await;
    let folders = (tempdir().unwrap(), tempdir().unwrap());
    let first = bench.tally(0, folders.0.path(), 0);
    first.has(3).await;
    bench.reserve(SKUS, 1).await;
    bench.all_counted(SKUS, 1).await;
    let second = bench.tally(1, folders.1.path(), 0);
    second.has(1).await;
    first.has(2).await;
    bench.reserve(SKUS, 1).await;
    bench.all_counted(SKUS, 2).await;
    first.stop().await;
    bench.reserve(SKUS, 1).await;
    second.has(3).await;
    bench.all_counted(SKUS, 3).await;
    second.stop().await;
}
