//! [`start`]: the service: the processor on its thread, health over HTTP, and what watches the mail
//! server.

use crate::{
    adapters::smtp::SmtpMailer, config::Config, http, mailer::BATCH_RECORDS_MAX,
    measured::Measured, processor::EmailProcessor,
};
use service_kit::{Lifecycle, Limits, Running, Shutdown};
use std::sync::Arc;
use streams::Codec;
use streams_kafka::{
    CheckedRegistry, ConsumerSettings, DiskStore, ThreadStatus, spawn_clock, spawn_processor,
};
use tokio::runtime::Handle;

/// Consumer group, `transactional.id`, and the folder of the state.
const NAME: &str = "email";

/// Starts the processor and the health endpoints. What is away is waited for, in the background.
///
/// # Errors
/// Fails if the address is taken.
pub async fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Running> {
    contracts::failpoints::arm().map_err(anyhow::Error::msg)?;
    let common = &config.common;
    let kafka = common.kafka()?;
    let registry =
        CheckedRegistry::connect(&common.schema_registry_url, &kafka, Handle::current())?;
    let codec = Codec::new(Arc::new(registry));
    let store = Box::new(DiskStore::of::<EmailProcessor<Measured<SmtpMailer>>>(
        &common.state_folder(NAME),
    )?);

    let lifecycle = Lifecycle::new(shutdown.clone());
    let clock = spawn_clock(&kafka, &format!("email-{}", common.instance), shutdown.clone());
    lifecycle.clock(clock.readings(), clock.stopped());
    let address = (config.addr(), &common.callers);
    let serving = lifecycle.serve(address, http::router()?, Limits::default()).await?;
    let mailer = SmtpMailer::new(config.smtp_addr.clone(), config.mail_from.clone());
    lifecycle.task("smtp", |check, shutdown| mailer.watch(check, shutdown));
    let mailer = Measured::new(mailer, lifecycle.meters());
    let settings = ConsumerSettings {
        batch_records_max: BATCH_RECORDS_MAX,
        meters: lifecycle.meters(),
        ..ConsumerSettings::new(&kafka, NAME, common.instance)
    };
    let mails = spawn_processor(settings, EmailProcessor::new(mailer), store, codec, shutdown);
    lifecycle.thread(NAME, mails.status(), ThreadStatus::health, mails.stopped());
    Ok(serving.registered())
}
