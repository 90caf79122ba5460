//! The service: both processors and the health endpoints.

use crate::{
    config::Config,
    http,
    processor::{CheckProcessor, SplitProcessor},
    topology::PROCESSORS,
};
use service_kit::{Lifecycle, Limits, Running, Shutdown};
use std::sync::Arc;
use streams::{Codec, MemoryStore};
use streams_kafka::{
    CheckedRegistry, ConsumerSettings, DiskStore, ThreadHandle, ThreadStatus, spawn_clock,
    spawn_processor,
};
use tokio::runtime::Handle;

/// Starts both processors and the health endpoints. What is away is waited for, in the background.
///
/// # Errors
/// Fails if the address is taken.
pub async fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Running> {
    contracts::failpoints::arm().map_err(anyhow::Error::msg)?;
    let common = &config.common;
    let kafka = common.kafka()?;
    let (split, check) = (PROCESSORS[0].name, PROCESSORS[1].name);
    let registry =
        CheckedRegistry::connect(&common.schema_registry_url, &kafka, Handle::current())?;
    let codec = Codec::new(Arc::new(registry));
    let store = Box::new(DiskStore::of::<CheckProcessor>(&common.state_folder(check))?);

    let lifecycle = Lifecycle::new(shutdown.clone());
    let clock = spawn_clock(&kafka, &format!("fraud-{}", common.instance), shutdown.clone());
    lifecycle.clock(clock.readings(), clock.stopped());
    let address = (config.addr(), &common.callers);
    let serving = lifecycle.serve(address, http::router()?, Limits::default()).await?;
    let part = |name, thread: ThreadHandle| {
        lifecycle.thread(name, thread.status(), ThreadStatus::health, thread.stopped());
    };
    let settings =
        |name| ConsumerSettings::new(&kafka, name, common.instance).measured(lifecycle.meters());
    let (no_state, stop) = (Box::new(MemoryStore::default()), shutdown.clone());
    part(split, spawn_processor(settings(split), SplitProcessor, no_state, codec.clone(), stop));
    let checks = CheckProcessor::new(config.terms());
    part(check, spawn_processor(settings(check), checks, store, codec, shutdown));
    Ok(serving.registered())
}
