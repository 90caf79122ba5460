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
use service_kit::{BoundServer, Health, Limits, Shutdown};
use smtp::SmtpMailer;
use std::{net::SocketAddr, sync::Arc};
use streams::Codec;
use streams_kafka::{DiskStore, HttpRegistry, LoopHandle, LoopSettings, LoopStatus, spawn_loop};
use tokio::runtime::Handle;

/// Consumer group, `transactional.id`, and the folder of the state.
const NAME: &str = "email";

/// Most records in one transaction: as many mails, at most, a crash can repeat.
pub const BATCH_RECORDS_MAX: usize = 16;

/// A running service.
pub struct Running {
    server: BoundServer,
    mails: LoopHandle,
    shutdown: Shutdown,
}

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
    let health = Health::new();

    let mailer = SmtpMailer::new(config.smtp_addr.clone(), config.mail_from.clone());
    tokio::spawn(mailer.watch(health.check("smtp"), shutdown.clone()));
    let check = health.check(NAME);
    let settings = LoopSettings {
        batch_records_max: BATCH_RECORDS_MAX,
        ..LoopSettings::new(&common.kafka_bootstrap, NAME, common.instance)
    };
    let limits = Limits::default();
    let server =
        service_kit::serve(config.addr(), Router::new(), &health, limits, shutdown.clone()).await?;
    let mails = spawn_loop(settings, EmailLoop::new(mailer), store, codec, shutdown.clone());
    tokio::spawn(check.follow(mails.status(), LoopStatus::problem));
    Ok(Running { server, mails, shutdown })
}

impl Running {
    /// Waits until all of it has stopped. If one part fails, the other is stopped as well.
    ///
    /// # Errors
    /// What the loop or the server has failed with.
    pub async fn stopped(self) -> anyhow::Result<()> {
        let ended = tokio::try_join!(self.mails.stopped(), self.server.stopped());
        self.shutdown.cancel();
        ended.map(drop)
    }

    /// Where the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }
}
