//! Avro and headers of one order: what each record costs to write and to read.

use contracts::{Order, owns::Orders, topics::ORDERS};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use micro_benchmarks::{NOW, codec, order};
use std::hint::black_box;
use std::sync::Arc;
use streams::{Codec, MemoryRegistry, Record, SchemaRegistry, lineage::Cause};

fn avro(criterion: &mut Criterion) {
    let (codec, order) = (codec(), order(1));
    let bytes = codec.encode(&ORDERS.spec, &order).expect("it fits its schema");
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |bench| {
        bench.iter(|| codec.encode(&ORDERS.spec, black_box(&order)).expect("it fits its schema"));
    });
    group.bench_function("decode", |bench| {
        bench.iter(|| codec.decode(&ORDERS, black_box(&bytes)).expect("it is an order"));
    });
    let (codec, bytes) = of_another_version(&order);
    group.bench_function("decode another version", |bench| {
        bench.iter(|| codec.decode(&ORDERS, black_box(&bytes)).expect("it is an order"));
    });
    let torn = &bytes[..bytes.len() / 2];
    group.bench_function("refuse half of one", |bench| {
        bench.iter(|| codec.decode(&ORDERS, black_box(torn)).expect_err("it is half of one"));
    });
    group.finish();
}

/// An order as a later program writes it, whose schema has one more field in the end.
fn of_another_version(order: &Order) -> (Codec, Vec<u8>) {
    let registry = Arc::new(MemoryRegistry::default());
    let ours = Order::SCHEMA.text.trim_end();
    let end = ours.rfind(']').expect("its fields are a list");
    let field = r#",{"name":"later","type":"string","default":""}"#;
    let later = format!("{}{field}{}", &ours[..end], &ours[end..]);
    let id = registry.id_of("", &later).expect("it is a schema");
    let codec = Codec::new(registry);
    let mut bytes = codec.encode(&ORDERS.spec, order).expect("it fits its schema");
    bytes[1..5].copy_from_slice(&id.to_be_bytes());
    bytes.push(0);
    (codec, bytes)
}

fn headers(criterion: &mut Criterion) {
    let cause = Cause { correlation_id: Some("the story".to_owned()), ..Cause::default() };
    let headers = cause.headers::<Orders>("OrderRequested", "an order", NOW);
    let topic = ORDERS.name().into();
    let (key, value) = (None, None);
    let record = Record { topic, partition: 0, offset: 1, timestamp_ms: 1, key, value, headers };
    let mut group = criterion.benchmark_group("headers");
    group.bench_function("of what follows from a record", |bench| {
        bench.iter(|| {
            Cause::of(black_box(&record)).headers::<Orders>("OrderValidated", "an order", NOW)
        });
    });
    group.finish();
}

criterion_group!(all, avro, headers);
criterion_main!(all);
