//! What cannot be handled goes to the dead letters, with its cause, and the partition goes on. From
//! there it is replayed or discarded, once.

use crate::support::{Bench, DEADLINE};
use contracts::{
    CustomerId, ServiceName, Sku,
    inventory::{InventoryCommand, Restock},
    owns::Inventory,
    topics::{self, CUSTOMERS, INVENTORY_COMMANDS},
};
use futures::future::join_all;
use streams::{GlobalTable, Headers, Outgoing, lineage::Cause};
use streams_kafka::{
    Sender,
    dlq::{self, DeadLetter, Done},
    read_topic, spawn_table,
};
use tempfile::tempdir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

async fn all_letters(bench: &Bench, service: ServiceName) -> Vec<DeadLetter> {
    let bootstrap = bench.bootstrap.clone();
    let list = tokio::task::spawn_blocking(move || dlq::list(&bootstrap, topics::dlq(service)));
    list.await.expect("no panic").expect("the dead letters can be read")
}

/// The letters of `service` whose key is `key`.
async fn letters(bench: &Bench, service: ServiceName, key: &str) -> Vec<DeadLetter> {
    let mut letters = all_letters(bench, service).await;
    letters.retain(|letter| letter.record.key.as_deref() == Some(key.as_bytes()));
    letters
}

pub async fn wait_for_letters(
    bench: &Bench,
    service: ServiceName,
    key: &str,
    number: usize,
) -> Vec<DeadLetter> {
    testkit::wait_for("the dead letters", DEADLINE, || async {
        let letters = letters(bench, service, key).await;
        if letters.len() == number { Ok(letters) } else { Err(letters) }
    })
    .await
}

pub async fn settle(bench: &Bench, letter: &DeadLetter, done: Done) -> anyhow::Result<()> {
    let (bootstrap, letter) = (bench.bootstrap.clone(), letter.clone());
    let settled =
        tokio::task::spawn_blocking(move || dlq::settle(&bootstrap, &letter, done, &topics::ALL));
    settled.await.expect("no panic")
}

/// Those with different letters do not meet. Those with the same one fence each other and begin
/// again: one of them discards it, and the others hear that.
#[tokio::test(flavor = "multi_thread")]
async fn operators_who_settle_at_the_same_time_do_not_stop_each_other() {
    let bench = Bench::start("operators").await;
    let folder = tempdir().unwrap();
    let sku: Sku = bench.sku(0);
    for _ in 0..4 {
        bench.produce(&INVENTORY_COMMANDS.spec, sku.as_str(), b"garbage");
    }
    let tally = bench.tally(0, folder.path(), 0);
    let found = wait_for_letters(&bench, ServiceName::Inventory, sku.as_str(), 4).await;
    for (operators, letters) in [(1, &found[..3]), (4, &found[3..])] {
        let tries = letters.iter().cycle().take(operators * letters.len());
        let settled = join_all(tries.map(|letter| settle(&bench, letter, Done::Discarded))).await;
        let refused: Vec<String> =
            settled.into_iter().filter_map(|one| Some(one.err()?.to_string())).collect();
        assert_eq!(refused.len(), (operators - 1) * letters.len(), "{refused:?}");
        assert!(refused.iter().all(|why| why.contains("was discarded before")), "{refused:?}");
    }
    let after = letters(&bench, ServiceName::Inventory, sku.as_str()).await;
    assert!(after.iter().all(|letter| letter.done == Some(Done::Discarded)), "{after:?}");
    tally.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_put_aside_with_its_cause_and_the_partition_goes_on() {
    let bench = Bench::start("poison").await;
    let folder = tempdir().unwrap();
    let sku: Sku = bench.sku(0);
    bench.produce(&INVENTORY_COMMANDS.spec, sku.as_str(), b"garbage");
    bench.produce(&INVENTORY_COMMANDS.spec, sku.as_str(), &[0, 0, 0, 255, 255, 1]);
    let sender: Sender<Inventory> = Sender::new(&bench.bootstrap, bench.codec.clone()).unwrap();
    let command_id = contracts::CommandId(Uuid::now_v7());
    let issued_at = contracts::Timestamp(1);
    let restock: InventoryCommand =
        Restock { sku: sku.clone(), command_id, quantity: 1, issued_at }.into();
    sender.send(&INVENTORY_COMMANDS, &sku, &restock, Cause::default()).await.unwrap();
    bench.reserve(1, 1).await;

    let tally = bench.tally(0, folder.path(), 0);
    bench.all_counted(1, 1).await;
    let found = wait_for_letters(&bench, ServiceName::Inventory, sku.as_str(), 3).await;
    let causes: Vec<_> = found.iter().map(DeadLetter::cause).collect();
    assert!(causes[0].contains("the first byte is 0x67"), "{causes:?}");
    assert!(causes[1].contains("schema with id 65535"), "{causes:?}");
    assert_eq!(causes[2], "not a Reserve");
    assert_eq!(found[0].record.value.as_deref(), Some(&b"garbage"[..]));
    assert!(found[2].origin().starts_with("inventory.commands/"), "{}", found[2].origin());

    settle(&bench, &found[0], Done::Discarded).await.unwrap();
    settle(&bench, &found[2], Done::Replayed).await.unwrap();
    // It is no better the second time, and comes back as a new letter.
    let after = wait_for_letters(&bench, ServiceName::Inventory, sku.as_str(), 4).await;
    let done: Vec<_> = after.iter().map(|letter| letter.done).collect();
    assert_eq!(done, [Some(Done::Discarded), None, Some(Done::Replayed), None]);
    let again = settle(&bench, &after[2], Done::Discarded).await;
    assert!(again.unwrap_err().to_string().contains("was replayed before"));
    // Two operators have listed the same letter: only one of them deals with it.
    let (first, second) = (after[3].clone(), after[3].clone());
    settle(&bench, &first, Done::Replayed).await.unwrap();
    let late = settle(&bench, &second, Done::Replayed).await;
    assert!(late.unwrap_err().to_string().contains("was replayed before"));
    tally.stop().await;
}

/// No key is not an empty key, no value not an empty one, and a header's name may repeat.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_comes_back_from_the_dead_letters_as_it_was() {
    let bench = Bench::start("as-it-was").await;
    let folder = tempdir().unwrap();
    let sku = bench.sku(0).to_string().into_bytes();
    let of = |key: Option<&[u8]>, value: Option<&[u8]>, mark: &str| {
        let header = |value: Option<&[u8]>| ("theirs".into(), value.map(<[u8]>::to_vec));
        let values = [None, Some(&b""[..]), Some(b"\xff\0"), Some(mark.as_bytes())];
        Outgoing {
            topic: INVENTORY_COMMANDS.name(),
            partition: 1,
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers: Headers(values.map(header).into()),
        }
    };
    let strange = [
        of(None, Some(b"garbage"), "no key"),
        of(Some(b""), Some(b""), "an empty key and value"),
        of(Some(&sku), None, "no value"),
    ];
    for record in &strange {
        streams_kafka::admin::produce(&bench.bootstrap, record).unwrap();
    }
    let tally = bench.tally(0, folder.path(), 0);
    for sent in &strange {
        let mark = sent.headers.get("theirs").unwrap();
        // The tallies of other tests refuse a record without a key as well.
        let found = testkit::wait_for(mark, DEADLINE, || async {
            let letters = all_letters(&bench, ServiceName::Inventory).await;
            let is_it = |letter: &DeadLetter| letter.record.headers.get("theirs") == Some(mark);
            letters.into_iter().find(is_it).ok_or("no such letter")
        })
        .await;
        assert_eq!((&found.record.key, &found.record.value), (&sent.key, &sent.value), "{mark}");
        settle(&bench, &found, Done::Replayed).await.unwrap();

        let bootstrap = bench.bootstrap.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut records = Vec::new();
            read_topic(&bootstrap, &INVENTORY_COMMANDS.spec, |record| {
                records.push(record);
                Ok(())
            })
            .map(|()| records)
        });
        let mut records = read.await.unwrap().unwrap();
        records.retain(|record| record.headers.get("theirs") == Some(mark));
        let [first, second] = &records[..] else { panic!("{records:?}") };
        assert_eq!(first.digest(), second.digest(), "{first:?} came back as {second:?}");
    }
    tally.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_of_a_table_is_put_aside_once_and_the_others_are_read() {
    let bench = Bench::start("table").await;
    let key = "table-bad-row";
    bench.produce(&CUSTOMERS.spec, key, b"not a row");
    for _ in 0..2 {
        let stop = CancellationToken::new();
        let (table, thread): (GlobalTable<CustomerId, _>, _) = spawn_table::<Inventory, _, _>(
            &bench.bootstrap,
            7,
            &CUSTOMERS,
            bench.codec.clone(),
            stop.clone(),
        );
        let ready = tokio::time::timeout(DEADLINE, table.ready()).await;
        ready.expect("the table is read to its end");
        // A connector that runs may still be taking its snapshot: the end that was read can lie
        // before ada's row.
        testkit::wait_for("ada, by change data capture", DEADLINE, || async {
            table.get(&"ada".parse().unwrap()).map(drop).ok_or("no such row")
        })
        .await;
        stop.cancel();
        thread.stopped().await.unwrap();
    }
    let found = wait_for_letters(&bench, ServiceName::Inventory, key, 1).await;
    assert!(found[0].cause().contains("the first byte is 0x6e"), "{}", found[0].cause());
}
