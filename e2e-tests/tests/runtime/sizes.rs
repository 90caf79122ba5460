//! What is too large is put aside like everything else that cannot be handled, or the broker does
//! not take it: the server serves the next one.

use crate::{
    dead_letters::{settle, wait_for_letters},
    support::{Bench, DEADLINE},
};
use contracts::{
    ServiceName,
    topics::{self, INVENTORY_COMMANDS},
};
use streams::{
    limits::{MESSAGE_BYTES_MAX, VALUE_BYTES_MAX},
    tx::dlq_names,
};
use streams_kafka::{
    ThreadStatus, admin,
    dlq::{self, Done},
};
use tempfile::tempdir;

/// Bytes that no compression makes smaller.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 56) as u8
    };
    // Not Confluent's wire format, whatever follows.
    std::iter::once(1).chain((1..size).map(next)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_of_any_size_that_the_broker_takes_is_put_aside_and_can_be_replayed() {
    let bench = Bench::start("large").await;
    let folder = tempdir().unwrap();
    let sku = bench.sku(0);
    // The key, and the frame of a batch with one record.
    let largest = MESSAGE_BYTES_MAX - sku.as_str().len() - 80;
    for size in [VALUE_BYTES_MAX + 1, largest] {
        bench.produce(&INVENTORY_COMMANDS.spec, sku.as_str(), &noise(size));
    }
    bench.reserve(1, 1).await;
    let tally = bench.tally(0, folder.path(), 0);
    bench.all_counted(1, 1).await;

    let found = wait_for_letters(&bench, ServiceName::Inventory, sku.as_str(), 2).await;
    let size = (largest + sku.as_str().len()).to_string();
    assert_eq!(found[1].record.value.as_ref().map(Vec::len), Some(VALUE_BYTES_MAX));
    assert_eq!(found[1].cut().map(|(bytes, _)| bytes), Some(&*size));
    let cause = found[1].cause();
    assert_eq!(
        cause,
        format!("a value on inventory.commands has 900000 bytes at most, this one {largest}")
    );

    // The whole record comes back, and goes the same way.
    settle(&bench, &found[1], Done::Replayed).await.unwrap();
    let after = wait_for_letters(&bench, ServiceName::Inventory, sku.as_str(), 3).await;
    let (first, second) = (&found[1].record.headers, &after[2].record.headers);
    assert_eq!(second.get(dlq_names::BYTES), Some(&*size));
    assert_ne!(second.get(dlq_names::OFFSET), first.get(dlq_names::OFFSET));
    // Of a record that is not there any more, only the beginning is left.
    let mut gone = after[2].clone();
    gone.record.headers.push(dlq_names::OFFSET, "0");
    let refused = settle(&bench, &gone, Done::Replayed).await.unwrap_err();
    assert!(format!("{refused:#}").contains("is another record by now"), "{refused:#}");
    gone.record.headers.push(dlq_names::OFFSET, "900000000");
    let refused = settle(&bench, &gone, Done::Replayed).await.unwrap_err();
    assert!(format!("{refused:#}").contains("can only be discarded"), "{refused:#}");
    for letter in [&found[0], &after[2]] {
        settle(&bench, letter, Done::Discarded).await.unwrap();
    }
    tally.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_large_only_when_unpacked_is_not_taken_by_the_broker() {
    let bench = Bench::start("packed").await;
    let folder = tempdir().unwrap();
    let (bootstrap, sku) = (bench.bootstrap.clone(), bench.sku(0));
    let key = sku.as_str().as_bytes().to_vec();
    let packed = |size: usize| {
        let (bootstrap, key) = (bootstrap.clone(), key.clone());
        tokio::task::spawn_blocking(move || {
            admin::produce_gzipped(&bootstrap, &INVENTORY_COMMANDS.spec, &key, &vec![0; size])
        })
    };
    let refused = packed(10_000_000).await.unwrap().unwrap_err().to_string();
    assert!(refused.contains("too large"), "{refused}");
    // What fits is taken, and is garbage like any other.
    packed(1_000_000).await.unwrap().unwrap();
    bench.reserve(1, 1).await;
    let tally = bench.tally(0, folder.path(), 0);
    bench.all_counted(1, 1).await;
    let found = wait_for_letters(&bench, ServiceName::Inventory, sku.as_str(), 1).await;
    assert_eq!(found[0].cut().map(|(bytes, _)| bytes), Some("1000008"));
    tally.stop().await;
}

/// A record on which the processor fails again and again, for whatever reason.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_can_take_a_record_out_of_the_way_of_a_processor() {
    let bench = Bench::start("stuck").await;
    let folder = tempdir().unwrap();
    let sku = bench.sku(0);
    let stuck = bench.reserve_a_stumbling_block(&sku).await;
    bench.reserve(1, 1).await;
    let tally = bench.tally(0, folder.path(), 0);
    let mut status = tally.handle.status();
    let waits = |status: &ThreadStatus| matches!(status, ThreadStatus::Waiting(_));
    let waiting = tokio::time::timeout(DEADLINE, status.wait_for(waits)).await;
    waiting.expect("it stands still").expect("it runs");

    let pass = |why: &'static str| {
        let (bootstrap, address, group) = (bench.bootstrap.clone(), stuck.clone(), bench.name);
        let service = (ServiceName::Inventory.as_str(), topics::dlq(ServiceName::Inventory));
        let pass = move || {
            let address = address.parse().unwrap();
            let next = dlq::committed(&bootstrap, group, &address)?;
            dlq::pass_by(&bootstrap, &address, (group, next), service, why)
        };
        tokio::task::spawn_blocking(pass)
    };
    pass("it stops the tally").await.unwrap().unwrap();
    bench.all_counted(1, 1).await;
    let found = wait_for_letters(&bench, ServiceName::Inventory, sku.as_str(), 1).await;
    assert_eq!(found[0].cause(), "passed by: it stops the tally");
    assert_eq!(found[0].origin(), stuck);
    // What was handled must not be missing after a restore.
    let late = pass("again").await.unwrap().unwrap_err().to_string();
    assert!(late.contains("has handled"), "{late}");
    tally.stop().await;

    // A restart knows it as well.
    bench.reserve(1, 1).await;
    let tally = bench.tally(0, folder.path(), 0);
    bench.all_counted(1, 2).await;
    settle(&bench, &found[0], Done::Discarded).await.unwrap();
    tally.stop().await;
}
