//! Stores: a batch of 100 orders, and a look at one of many, in memory and on the disk.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use streams::{
    MemoryStore, Store,
    store::{Layout, Positions, Writes},
};
use streams_kafka::DiskStore;

/// Orders in a store, and in a batch.
const MANY: u32 = 10_000;
const BATCH: u32 = 100;

/// Bytes of an order.
const VALUE_BYTES: usize = 600;

fn writes(from: u32, count: u32) -> Writes {
    let entry = |id: u32| {
        let key = [&[1][..], &id.to_be_bytes()].concat();
        (key, Some(vec![u8::try_from(id % 251).unwrap_or_default(); VALUE_BYTES]))
    };
    (from..from + count).map(entry).collect()
}

fn positions(next: i64) -> Positions {
    Positions::from([("orders".to_owned(), next)])
}

fn measure(criterion: &mut Criterion, name: &str, store: &impl Store) {
    store.open().expect("its folder is there");
    for from in (0..MANY).step_by(1_000) {
        store.apply(0, writes(from, 1_000), &positions(from.into())).expect("it is written");
    }
    let mut group = criterion.benchmark_group(format!("store: {name}"));
    group.bench_function("one of 10,000", |bench| {
        let key = [&[1][..], &4_711_u32.to_be_bytes()].concat();
        bench.iter(|| store.get(0, black_box(&key)).expect("it is read"));
    });
    group.bench_function("one that is not there", |bench| {
        let key = [&[2][..], &4_711_u32.to_be_bytes()].concat();
        bench.iter(|| store.get(0, black_box(&key)).expect("it is read"));
    });
    group.bench_function("the first 100", |bench| {
        bench.iter(|| store.range(0, &[1], &[2], 100).expect("it is read"));
    });
    group.throughput(Throughput::Elements(BATCH.into()));
    let mut next = 0;
    group.bench_function("a batch of 100", |bench| {
        bench.iter(|| {
            next += 1;
            let batch = writes(next % MANY, BATCH);
            store.apply(0, batch, &positions(next.into())).expect("it is written");
        });
    });
    group.finish();
}

fn both(criterion: &mut Criterion) {
    measure(criterion, "memory", &MemoryStore::default());
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    measure(criterion, "disk", &DiskStore::new(folder.path(), &Layout::default()));
}

criterion_group!(all, both);
criterion_main!(all);
