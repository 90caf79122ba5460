//! What services decide, alone; and in their processors, with the engine, the codec and a store in
//! memory around it: all that a record costs but Kafka and the disk.

use contracts::{
    Order, OrderId,
    inventory::{InventoryCommand, Reserve, Restock},
    topics::{INVENTORY_COMMANDS, ORDER_COMMANDS, ORDERS},
};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use inventory::{SplitProcessor, StockProcessor, domain::stock};
use micro_benchmarks::{NOW, catalog, order, place, sku_of, terms};
use orders::{
    domain::{
        Entry, next_step,
        place_order::{self, Known},
    },
    processor::OrdersProcessor,
};
use std::hint::black_box;
use testkit::Driver;
use uuid::Uuid;
use view::domain::history::{self, Arrival, History};

fn alone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide and evolve");
    let (command, catalog, terms) = (place(1), catalog(), terms());
    group.bench_function("orders: PlaceOrder", |bench| {
        bench.iter(|| {
            let known = Known::Now(catalog.excerpt(&command.customer_id, &command.lines));
            let input = place_order::Input { command: &command, known: &known, terms: &terms };
            let decision = place_order::decide(&Entry::default(), input, NOW);
            place_order::evolve(Entry::default(), &decision)
        });
    });
    let entry = Entry { order: Some(order(1).into()), ..Entry::default() };
    group.bench_function("orders: the next step", |bench| {
        bench.iter(|| next_step::decide(black_box(&entry), NOW));
    });
    let reserve = reserve(1);
    let restock = restock();
    let filled = stock::evolve(
        stock::Stock::default(),
        &stock::decide(&stock::Stock::default(), &restock, NOW),
    );
    group.bench_function("inventory: Reserve", |bench| {
        bench.iter_batched(
            || stock::Stock { entry: None, ..filled.clone() },
            |stock| {
                let decision = stock::decide(&stock, black_box(&reserve), NOW);
                stock::evolve(stock, &decision)
            },
            BatchSize::SmallInput,
        );
    });
    let order = order(1);
    group.bench_function("view: a transition", |bench| {
        bench.iter(|| {
            let arrival = Arrival { order: &order, fingerprint: Uuid::nil() };
            let decision = history::decide(&History::default(), arrival, NOW);
            history::evolve(History::default(), &decision)
        });
    });
    group.finish();
}

fn reserve(id: u128) -> InventoryCommand {
    let order_id = OrderId(Uuid::from_u128(id));
    Reserve { sku: sku_of("TEA"), order_id, quantity: 2, issued_at: NOW }.into()
}

fn restock() -> InventoryCommand {
    let command_id = contracts::CommandId(Uuid::nil());
    Restock { sku: sku_of("TEA"), command_id, quantity: 10_000_000, issued_at: NOW }.into()
}

/// Each record is about another order, as on a topic.
fn in_processors(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record through processor");
    let (mut orders, mut id) = (Driver::new(OrdersProcessor::new(catalog(), terms())), 0);
    group.bench_function("orders: PlaceOrder", |bench| {
        bench.iter(|| {
            id += 1;
            let command = place(id);
            orders.feed(&ORDER_COMMANDS, &command.order_id, &command.clone().into(), "orders")
        });
    });
    let (mut split, mut id) = (Driver::new(SplitProcessor), 0);
    group.bench_function("inventory-split: OrderRequested", |bench| {
        bench.iter(|| {
            id += 1;
            let order: Order = order(id);
            split.feed(&ORDERS, &order.order_id, &order, "orders")
        });
    });
    let (mut stock, mut id) = (Driver::new(StockProcessor), 0);
    stock.feed(&INVENTORY_COMMANDS, &sku_of("TEA"), &restock(), "inventory");
    group.bench_function("inventory-stock: Reserve", |bench| {
        bench.iter(|| {
            id += 1;
            stock.feed(&INVENTORY_COMMANDS, &sku_of("TEA"), &reserve(id), "inventory")
        });
    });
    group.finish();
}

criterion_group!(all, alone, in_processors);
criterion_main!(all);
