//! [`start`]: the service: the processor on its thread, the catalog and the outcomes that it
//! follows, and HTTP.

use std::sync::Arc;

use contracts::{
    owns::Orders,
    topics::{CATALOG_HEARTBEAT, CATALOG_SILENT, HEARTBEAT_SILENCE_MAX, ORDER_COMMANDS},
};
use service_kit::{Lifecycle, Running, Shutdown, schemas::until_known};
use streams::Codec;
use streams_kafka::{
    CheckedRegistry, ConsumerSettings, DiskStore, Sender, ThreadHandle, ThreadStatus, spawn_clock,
    spawn_processor, spawn_tail,
};
use tokio::runtime::Handle;

use crate::{
    adapters::catalog,
    config::{self, Config},
    http::{self, App, waiters::Waiters},
    processor::OrdersProcessor,
};

/// The name of consumer group and `transactional.id`.
const PROCESSOR_NAME: &str = "orders";

/// Start the service; it ends at `shutdown`. Nothing that it depends on need be there yet.
///
/// # Errors
/// Fails if the address is taken.
pub async fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Running> {
    contracts::failpoints::arm().map_err(anyhow::Error::msg)?;
    let common = &config.common;
    let kafka = common.kafka()?;
    let (bootstrap, instance) = (kafka.as_str(), common.instance);
    let registry =
        CheckedRegistry::connect(&common.schema_registry_url, bootstrap, Handle::current())?;
    let codec = Codec::new(Arc::new(registry));
    let store = Box::new(DiskStore::of::<OrdersProcessor>(&common.state_folder(PROCESSOR_NAME))?);
    let commands = Arc::new(Sender::<Orders>::new(bootstrap, codec.clone())?);

    let lifecycle = Lifecycle::new(shutdown.clone());
    let clock = spawn_clock(bootstrap, &format!("orders-{}", instance), shutdown.clone());
    lifecycle.clock(clock.readings(), clock.stopped());
    let part = |name, thread: ThreadHandle| {
        lifecycle.thread(name, thread.status(), ThreadStatus::health, thread.stopped());
    };
    let (catalog, [products, customers]) = catalog::follow(bootstrap, instance, &codec, &shutdown);
    part("catalog.products", products);
    part("catalog.customers", customers);
    // Old prices are better than no shop: what is known stays in use.
    let pulse = lifecycle.pulse("catalog.capture", HEARTBEAT_SILENCE_MAX, CATALOG_SILENT);
    let (name, topics) = ("orders-heartbeats", vec![&CATALOG_HEARTBEAT]);
    let heartbeats = spawn_tail(bootstrap, name, topics, shutdown.clone(), move |_| {
        pulse.beat();
        Ok(())
    });
    part("heartbeats", heartbeats);
    let waiters = Waiters::new(config.waiters_max);
    let limits = http::limits(config.waiters_max);
    let admission = http::admission(config.bounds(), &limits).measured(lifecycle.meters());
    let outcomes = waiters.follow(bootstrap, codec.clone(), admission.clone(), shutdown.clone());
    part("outcomes", outcomes);
    lifecycle.task("admission", |check, shutdown| {
        let told = admission.clone().tell(check, shutdown);
        async move {
            told.await;
            Ok(())
        }
    });

    let view_url = config.view_url.as_str().into();
    let app = App { catalog: catalog.clone(), commands, waiters, admission, view_url, shutdown };
    let address = common.http_addr(config::PORT);
    let serving = lifecycle.serve((address, &common.callers), http::router(app)?, limits).await?;

    let (edge, url) = (codec.clone(), common.schema_registry_url.clone());
    lifecycle.task("schemas", |check, shutdown| async move {
        if until_known(&edge, &[&ORDER_COMMANDS.spec], &url, &check, &shutdown).await? {
            shutdown.cancelled().await;
        }
        Ok(())
    });

    let settings = ConsumerSettings::new(bootstrap, PROCESSOR_NAME, instance);
    let settings = settings.measured(lifecycle.meters());
    let processor = OrdersProcessor::new(catalog.clone(), config.terms());
    let processor = processor.measured(lifecycle.meters());
    // Before the catalog is there every product would be unknown.
    lifecycle.start_up(|check, lifecycle| async move {
        let shutdown = lifecycle.shutdown();
        check.down("waiting for catalog.products and catalog.customers to be read");
        if shutdown.run_until_cancelled(catalog.ready()).await.is_some() {
            let thread = spawn_processor(settings, processor, store, codec, shutdown);
            lifecycle.thread("decisions", thread.status(), ThreadStatus::health, thread.stopped());
        }
        Ok(())
    });
    Ok(serving.registered())
}
