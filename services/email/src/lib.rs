//! Email mails the customer once an order is settled and can be seen.
//!
//! Consumes: `order-views`, so that nobody is mailed about what they cannot see yet.
//! Produces: mails, and `emails`, which says which of them the mail server has accepted.
//! Owns: which kinds of mail each order has had.
//! Guarantees: each settled order is mailed about, once per kind; a mail can arrive twice only if
//! the process ends, or the server's answer is lost, between the server's accept and our commit,
//! and then under the same Message-ID.
//! Fails how: without Kafka or mail server it waits, and goes on where it was; a mail that the
//! server refuses for good goes to `email.dlq` with the server's words.

pub mod config;
pub mod domain;
mod email;
mod handlers;
pub mod mailer;
pub mod smtp;
mod store;
pub mod topology;

pub use config::Config;
pub use email::EmailLoop;
pub use mailer::{DeliveryError, Mailer};

use axum::Router;
use service_kit::{Lifecycle, Limits, Running, Shutdown};
use smtp::SmtpMailer;
use std::sync::Arc;
use streams::Codec;
use streams_kafka::{DiskStore, HttpRegistry, LoopSettings, LoopStatus, spawn_loop};
use tokio::runtime::Handle;

/// Consumer group, `transactional.id`, and the folder of the state.
const NAME: &str = "email";

/// Most records in one transaction: as many mails, at most, a crash can repeat.
pub const BATCH_RECORDS_MAX: usize = 16;

/// Starts the loop and the health endpoints. What is away is waited for, in the background.
///
/// # Errors
/// Fails if the address is taken or the state folder cannot be used.
pub async fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Running> {
    contracts::failpoints::arm().map_err(anyhow::Error::msg)?;
    let common = &config.common;
    let registry = HttpRegistry::new(&common.schema_registry_url, Handle::current())?;
    let codec = Codec::new(Arc::new(registry));
    let store = Box::new(DiskStore::open(&common.state_folder(NAME))?);

    let lifecycle = Lifecycle::new(shutdown.clone());
    let running = lifecycle.serve(config.addr(), Router::new(), Limits::default()).await?;
    let mailer = SmtpMailer::new(config.smtp_addr.clone(), config.mail_from.clone());
    lifecycle.task("smtp", |check, shutdown| mailer.watch(check, shutdown));
    let settings = LoopSettings {
        batch_records_max: BATCH_RECORDS_MAX,
        ..LoopSettings::new(&common.kafka_bootstrap, NAME, common.instance)
    };
    let mails = spawn_loop(settings, EmailLoop::new(mailer), store, codec, shutdown);
    lifecycle.thread(NAME, mails.status(), LoopStatus::problem, mails.stopped());
    Ok(running)
}
