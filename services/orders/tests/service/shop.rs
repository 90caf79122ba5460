//! The processor with a log; the test plays all other services. The test can kill it.

use std::collections::BTreeMap;

use contracts::{
    Order, OrderId, Status, Timestamp,
    avro::Message,
    inventory::OrderValidation,
    orders::{CommandRefused, OrderCommand},
    owns::Orders,
    partition::{self, partition_for},
    topics::{
        Key, ORDER_COMMANDS, ORDER_REFUSALS, ORDER_VALIDATIONS, ORDERS, ORDERS_LATEST, Topic,
    },
};
use orders::{adapters::store, domain::Entry, processor::OrdersProcessor, topology};
use streams::{MemoryStore, Outgoing, Processor, Record, Tx};
use testkit::{Driver, Fed};

use crate::fixtures::{catalog, paid, refunded, terms};

pub(crate) struct Shop {
    pub(crate) driver: Driver<OrdersProcessor>,
    /// Gives records their offsets, across crashes.
    scribe: Driver<OrdersProcessor>,
    /// What stands on `orders`, and how much of it has been processed.
    pub(crate) log: Vec<Record>,
    read: usize,
    /// What else has been processed, in order.
    inputs: Vec<Record>,
    pub(crate) refusals: Vec<CommandRefused>,
    /// What a reader of `orders.latest` sees.
    pub(crate) latest: BTreeMap<OrderId, Order>,
}

/// Each driver has a registry of its own. The same look-ups give the same schema ids in all.
fn driver() -> Driver<OrdersProcessor> {
    let driver = Driver::new(OrdersProcessor::new(catalog(), terms()));
    driver.codec().warm_up(&contracts::topics::inputs(topology::FLOWS)).unwrap();
    driver
}

pub(crate) fn partition(id: OrderId) -> i32 {
    partition_for(&id.to_bytes(), partition::count())
}

impl Shop {
    pub(crate) fn new() -> Self {
        let (driver, scribe) = (driver(), driver());
        let (log, inputs, refusals, latest) = (vec![], vec![], vec![], BTreeMap::new());
        Self { driver, scribe, log, read: 0, inputs, refusals, latest }
    }

    pub(crate) fn at(&mut self, now: Timestamp) {
        self.driver.at(now);
    }

    pub(crate) fn command(&mut self, command: impl Into<OrderCommand>) -> Fed {
        let command = command.into();
        self.input(&ORDER_COMMANDS, command.order_id(), &command, "test")
    }

    pub(crate) fn validation(&mut self, validation: &OrderValidation) -> Fed {
        self.input(&ORDER_VALIDATIONS, validation.order_id, validation, "inventory")
    }

    /// Put a transition of payments on the log.
    pub(crate) fn payments(&mut self, order: &Order) {
        let record = self.scribe.record(&ORDERS, &order.order_id, order, "payments");
        self.log.push(record);
    }

    /// Process the next record of the log, if there is one.
    pub(crate) fn read_back(&mut self) -> Option<Fed> {
        let record = self.log.get(self.read)?.clone();
        self.read += 1;
        Some(self.feed(&record))
    }

    /// Process the log to its end, with payments paying and refunding what is due.
    pub(crate) fn settle(&mut self) {
        loop {
            while self.read_back().is_some() {}
            let orders = self.orders();
            let due = |order: &Order| match order.status {
                Status::Validated => Some(paid(order)),
                Status::RefundDue => Some(refunded(order)),
                _ => None,
            };
            let next: Vec<_> = orders.iter().filter_map(due).collect();
            if next.is_empty() {
                return;
            }
            next.iter().for_each(|order| self.payments(order));
        }
    }

    pub(crate) fn tick(&mut self) -> Vec<Outgoing> {
        let sent = self.driver.tick();
        self.keep(&sent);
        sent
    }

    /// The process dies and its disk is lost. Committed are exactly the inputs that were processed.
    pub(crate) fn lose_everything(&mut self) {
        let now = self.driver.now();
        self.driver = driver();
        self.driver.at(now);
        let source = |topic: &str| -> Vec<Record> {
            match topic {
                "orders" => self.log.clone(),
                other => self.inputs.iter().filter(|r| &*r.topic == other).cloned().collect(),
            }
        };
        for source in self.driver.processor().sources().iter().map(|s| source(s.topic.name)) {
            source.iter().for_each(|record| self.driver.restore(record));
        }
    }

    /// The last state of each order on the log, as far as it has been processed.
    pub(crate) fn orders(&self) -> Vec<Order> {
        let mut latest = BTreeMap::new();
        for record in &self.log[..self.read] {
            let order: Order = decode(&self.driver, record);
            latest.insert(order.order_id, order);
        }
        latest.into_values().collect()
    }

    /// The transitions on the log, as `order:transition`.
    pub(crate) fn story(&self) -> Vec<String> {
        let orders = self.log.iter().map(|record| decode(&self.driver, record));
        let mut story: Vec<_> = orders
            .map(|o: Order| format!("{}:{}:{}", o.order_id, o.version, o.transition))
            .collect();
        story.sort();
        story
    }

    pub(crate) fn entry(&self, id: OrderId) -> Entry {
        entry(&self.driver.store, &self.driver, id)
    }

    fn input<V: Message>(
        &mut self,
        topic: &'static Topic<OrderId, V>,
        id: OrderId,
        value: &V,
        source: &str,
    ) -> Fed {
        let record = self.scribe.record(topic, &id, value, source);
        self.inputs.push(record.clone());
        self.feed(&record)
    }

    fn feed(&mut self, record: &Record) -> Fed {
        let fed = self.driver.feed_record(record);
        assert_eq!(fed.dead_letter, None, "{}", record.address());
        self.keep(&fed.sent);
        fed
    }

    fn keep(&mut self, sent: &[Outgoing]) {
        self.refusals.extend(self.driver.sent_on(&ORDER_REFUSALS, sent));
        let latest = self.driver.sent_on(&ORDERS_LATEST, sent).into_iter();
        self.latest.extend(latest.map(|copy| (copy.0.order_id, copy.0)));
        for outgoing in sent.iter().filter(|outgoing| outgoing.topic == ORDERS.name()) {
            let id = OrderId::from_bytes(outgoing.key.as_deref().unwrap()).unwrap();
            let value = outgoing.value.clone().unwrap();
            let record = self.scribe.raw_record(&ORDERS, &id, value, outgoing.headers.clone());
            self.log.push(record);
        }
    }
}

fn decode(driver: &Driver<OrdersProcessor>, record: &Record) -> Order {
    driver.codec().decode(&ORDERS, record.value.as_deref().unwrap()).unwrap()
}

fn entry(store: &MemoryStore, driver: &Driver<OrdersProcessor>, id: OrderId) -> Entry {
    let mut tx: Tx<'_, Orders> = Tx::new(store, driver.codec(), driver.now());
    tx.begin_partition(partition(id));
    store::load(&tx, id).unwrap()
}
