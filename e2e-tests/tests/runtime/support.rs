//! A broker and a registry for all tests of this binary, and a small processor to try the runtime.

use client::{Shop, StartOptions};
use contracts::{
    Sku, Timestamp,
    inventory::{
        InventoryCommand, OrderValidation, Outcome, Reservation, ReservationState, Reserve,
        StockEntry,
    },
    owns::Inventory,
    topics::{INVENTORY_COMMANDS, ORDER_VALIDATIONS, RESERVATIONS, TopicSpec},
};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use streams::{
    Codec, Failure, Processor, Record, Source, Store, Table, Tx, UpTo,
    lineage::Cause,
    store::{Layout, LayoutError},
};
use streams_kafka::{
    ConsumerSettings, DiskStore, HttpRegistry, Sender, Step, ThreadHandle, ThreadStatus,
    TransactionalDriver, read_topic, spawn_processor,
};
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const DEADLINE: Duration = testkit::PATIENCE;

/// A [`Tally`] does not get over an order of so many pieces.
pub const STUMBLING_BLOCK: i32 = 13;

/// Kafka and registry with the shop's topics and schemas. Tests share them and keep apart by their
/// skus and groups. It ends with the process, when its standard input closes.
static SHOP: OnceCell<Shop> = OnceCell::const_new();

pub struct Bench {
    pub bootstrap: String,
    pub codec: Codec,
    /// The registry's address.
    pub registry: String,
    /// The test's own: skus begin with it, groups are named after it.
    pub name: &'static str,
}

impl Bench {
    pub async fn start(name: &'static str) -> Self {
        let start = || async {
            let options = StartOptions { infra_only: true, ..StartOptions::default() };
            e2e_tests::start(options).await.expect("the infrastructure starts")
        };
        let shop = SHOP.get_or_init(start).await;
        let runtime = tokio::runtime::Handle::current();
        let registry = HttpRegistry::new(shop.url("registry"), runtime).expect("a client");
        let codec = Codec::new(Arc::new(registry));
        let [bootstrap, registry] = ["kafka", "registry"].map(|name| shop.url(name).to_owned());
        Self { bootstrap, codec, registry, name }
    }

    pub fn sku(&self, number: usize) -> Sku {
        format!("{}-{number}", self.name).parse().expect("a sku")
    }

    /// Ask for one piece of each of `skus`, `rounds` times.
    pub async fn reserve(&self, skus: usize, rounds: usize) {
        let sender: Sender<Inventory> =
            Sender::new(&self.bootstrap, self.codec.clone()).expect("a sender");
        for round in 0..skus * rounds {
            let sku = self.sku(round % skus);
            let order_id = contracts::OrderId(Uuid::now_v7());
            let issued_at = Timestamp(1);
            let command: InventoryCommand =
                Reserve { sku: sku.clone(), order_id, quantity: 1, issued_at }.into();
            let sent = sender.send(&INVENTORY_COMMANDS, &sku, &command, Cause::default()).await;
            sent.expect("the command is acknowledged");
        }
    }

    /// Ask for [`STUMBLING_BLOCK`] pieces of `sku`; the address of the record.
    pub async fn reserve_a_stumbling_block(&self, sku: &Sku) -> String {
        let sender: Sender<Inventory> =
            Sender::new(&self.bootstrap, self.codec.clone()).expect("a sender");
        let order_id = contracts::OrderId(Uuid::now_v7());
        let (quantity, issued_at) = (STUMBLING_BLOCK, Timestamp(1));
        let command: InventoryCommand =
            Reserve { sku: sku.clone(), order_id, quantity, issued_at }.into();
        let sent = sender.send(&INVENTORY_COMMANDS, sku, &command, Cause::default()).await;
        sent.expect("the command is acknowledged");
        let (bootstrap, key) = (self.bootstrap.clone(), sku.to_string().into_bytes());
        let read = tokio::task::spawn_blocking(move || {
            let mut address = None;
            let read = read_topic(&bootstrap, &INVENTORY_COMMANDS.spec, |record| {
                if record.key.as_ref() == Some(&key) {
                    address = Some(record.address());
                }
                Ok(())
            });
            read.map(|()| address)
        });
        let address = read.await.expect("no panic").expect("the log can be read");
        address.expect("the record is there")
    }

    /// Put raw bytes on a topic, as an operator with a console would.
    pub fn produce(&self, topic: &'static TopicSpec, key: &str, value: &[u8]) {
        streams_kafka::admin::produce_raw(&self.bootstrap, topic, key.as_bytes(), value)
            .expect("Kafka takes any bytes");
    }

    /// A processor with a [`Tally`], its state in `folder`.
    pub fn tally(&self, instance: u32, folder: &Path, hiccups: usize) -> Running {
        let (settings, tally, store, codec) = self.parts(instance, folder, hiccups);
        let stop = CancellationToken::new();
        let handle = spawn_processor(settings, tally, store, codec, stop.clone());
        Running { handle, stop }
    }

    /// The same, to be driven step by step: it fails where it fails, and dies when it is dropped.
    pub fn by_hand(&self, folder: &Path, hiccups: usize) -> ByHand {
        let (settings, tally, store, codec) = self.parts(0, folder, hiccups);
        let (status, _) = watch::channel(ThreadStatus::Starting);
        ByHand { tally: TransactionalDriver::new(settings, tally, store, codec, status) }
    }

    /// The same through another address of the broker, and with another idea of when a commit is in
    /// doubt.
    pub fn by_hand_through(
        &self,
        bootstrap: &str,
        folder: &Path,
        doubt_after: Option<Duration>,
    ) -> ByHand {
        let (mut settings, tally, store, codec) = self.parts(0, folder, 0);
        settings.bootstrap = bootstrap.to_owned();
        settings.doubt_after = doubt_after.unwrap_or(settings.doubt_after);
        let (status, _) = watch::channel(ThreadStatus::Starting);
        ByHand { tally: TransactionalDriver::new(settings, tally, store, codec, status) }
    }

    fn parts(
        &self,
        instance: u32,
        folder: &Path,
        hiccups: usize,
    ) -> (ConsumerSettings, Tally, Box<dyn Store>, Codec) {
        let settings = ConsumerSettings::new(&self.bootstrap, self.name, instance);
        let tally = Tally { prefix: self.name, hiccups: Arc::new(AtomicUsize::new(hiccups)) };
        let store = DiskStore::of::<Tally>(folder).expect("a store");
        (settings, tally, Box::new(store), self.codec.clone())
    }

    /// How often each of our skus was counted, by the log of the outcomes: 1, 2, 3... in order, or
    /// the test fails.
    pub async fn counted(&self) -> BTreeMap<String, i32> {
        let (bootstrap, codec, name) = (self.bootstrap.clone(), self.codec.clone(), self.name);
        let read = tokio::task::spawn_blocking(move || {
            let mut counts = BTreeMap::new();
            let read = read_topic(&bootstrap, &RESERVATIONS.spec, |record| {
                let value = record.value.expect("an entry");
                let entry = codec.decode(&RESERVATIONS, &value).map_err(anyhow::Error::msg)?;
                let StockEntry::Reservation(entry) = entry else { return Ok(()) };
                if entry.sku.as_str().starts_with(name) {
                    let count = counts.entry(entry.sku.to_string()).or_insert(0);
                    *count += 1;
                    anyhow::ensure!(*count == entry.quantity, "{entry:?} is number {count}");
                }
                Ok(())
            });
            read.map(|()| counts)
        });
        read.await.expect("no panic").expect("the log can be read, and counts without a gap")
    }

    /// Wait until each of `skus` was counted `rounds` times, and not once more.
    pub async fn all_counted(&self, skus: usize, rounds: i32) {
        let what = format!("{skus} skus counted {rounds} times each");
        testkit::wait_for(&what, DEADLINE, || async {
            let counts = self.counted().await;
            let done = counts.len() == skus && counts.values().all(|count| *count >= rounds);
            if done { Ok(()) } else { Err(counts) }
        })
        .await;
        assert!(self.counted().await.values().all(|count| *count == rounds), "counted too often");
    }
}

/// A processor that the test drives, one batch at a time.
pub struct ByHand {
    tally: TransactionalDriver<Tally>,
}

impl ByHand {
    /// Take one step.
    pub fn step(&mut self) -> anyhow::Result<Step> {
        self.tally.step()
    }

    /// Take steps until one fails; how it failed.
    pub fn failure(&mut self) -> String {
        testkit::wait_until("a step that fails", DEADLINE, || match self.tally.step() {
            Ok(step) => Err(step),
            Err(error) => Ok(error.to_string()),
        })
    }
}

pub struct Running {
    pub handle: ThreadHandle,
    stop: CancellationToken,
}

impl Running {
    /// Wait until the processor has `partitions` of them.
    pub async fn has(&self, partitions: usize) {
        let mut status = self.handle.status();
        let running = |status: &ThreadStatus| match status {
            ThreadStatus::Running { partitions: owned, .. } => owned.len() == partitions,
            _ => false,
        };
        let waited = tokio::time::timeout(DEADLINE, status.wait_for(running)).await;
        assert!(waited.is_ok(), "waits for {partitions} partitions: {:?}", self.handle.status());
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.handle.stopped().await.expect("the processor ends well");
    }
}

const COUNTS: Table<i32> = Table::new(b'c');

/// Counts the reservations of each sku, and puts the count into its outcome, so that one counted
/// twice or left out shows in the log.
pub struct Tally {
    prefix: &'static str,
    /// So many batches fail after they were decided.
    hiccups: Arc<AtomicUsize>,
}

impl Tally {
    fn read_back(&self, record: &Record, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
        if let StockEntry::Reservation(entry) = tx.decode(&RESERVATIONS, record)?
            && entry.sku.as_str().starts_with(self.prefix)
        {
            tx.put(&COUNTS, entry.sku.as_str().as_bytes(), &entry.quantity)?;
        }
        Ok(())
    }
}

impl Processor for Tally {
    type Identity = Inventory;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        vec![&INVENTORY_COMMANDS.spec]
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        vec![&RESERVATIONS.spec, &ORDER_VALIDATIONS.spec]
    }

    fn sources(&self) -> Vec<Source> {
        vec![Source { topic: &RESERVATIONS.spec, up_to: UpTo::End }]
    }

    fn layout() -> Result<Layout, LayoutError> {
        Layout::default().table(&COUNTS)
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
        if record.is_on(&RESERVATIONS) {
            return self.read_back(record, tx);
        }
        let key = record.key_as::<Sku>()?;
        if !key.as_str().starts_with(self.prefix) {
            return Ok(());
        }
        let command = tx.decode(&INVENTORY_COMMANDS, record)?;
        let InventoryCommand::Reserve(command) = command else {
            return Err(Failure::poison("not a Reserve"));
        };
        if command.quantity == STUMBLING_BLOCK {
            return Err(Failure::retriable(anyhow::anyhow!("it stumbles")));
        }
        let count = tx.get(&COUNTS, key.as_str().as_bytes())?.unwrap_or(0) + 1;
        tx.put(&COUNTS, key.as_str().as_bytes(), &count)?;
        let entry = StockEntry::from(Reservation {
            sku: command.sku,
            order_id: command.order_id,
            quantity: count,
            state: ReservationState::Reserved,
            updated_at: tx.now(),
        });
        tx.send(&RESERVATIONS, &entry.key(), &entry)?;
        let outcome = OrderValidation {
            order_id: command.order_id,
            check: "tally".into(),
            outcome: Outcome::Passed,
            code: "ok".into(),
            detail: String::new(),
            decided_at: tx.now(),
        };
        tx.send(&ORDER_VALIDATIONS, &command.order_id, &outcome)
    }

    fn flush(&mut self, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
        let left = self.hiccups.load(Ordering::Relaxed);
        if tx.is_empty() || left == 0 {
            return Ok(());
        }
        self.hiccups.store(left - 1, Ordering::Relaxed);
        Err(Failure::Retriable(anyhow::anyhow!("a hiccup")))
    }
}
