//! What can be seen of a running shop, collected for the auditor. Only addresses are used, so it
//! does not matter where the parts run.
//!
//! Effects are read before their causes: the mails, the statement and the tables first, then the
//! topics from the end of the choreography to its beginning. So whatever an effect shows, its cause
//! is in the evidence too; and a cause that shows no effect is either younger than the beginning of
//! the look, which the auditor takes as on its way, or older, which it does not.

mod http;
mod log;
mod tables;

use std::time::Duration;

use anyhow::{Context, Result};
use auditor::{Evidence, Verdict};
use client::State;
use streams_kafka::ask_the_time;
pub use tables::next_offset;
use tokio::time::Instant;

/// Looks at everything in the shop of `state`.
///
/// # Errors
/// When a part cannot be looked at; the message names it.
pub async fn collect(state: &State, grace: Duration) -> Result<Evidence> {
    // The records are stamped by Kafka, whose clock may not be that of this host.
    let kafka = state.url("kafka")?.to_owned();
    let asked = tokio::task::spawn_blocking(move || ask_the_time(&kafka, "audit"));
    let taken_at = asked.await?.context("Kafka does not tell the time")?;
    let http = reqwest::Client::builder().timeout(http::TIMEOUT).build()?;
    let mailbox = http::mailbox(&http, state.url("mail")?);
    let mailbox = mailbox.await.context("the mail server cannot be looked at")?;
    let bank = http::statement(&http, state.url("bank")?);
    let bank = bank.await.context("the bank's statement cannot be looked at")?;
    let view = tables::view(state.url("postgres.view")?);
    let view = view.await.context("the database of the view cannot be looked at")?;
    let payments = tables::payments(state.url("postgres.payments")?);
    let payments = payments.await.context("the database of payments cannot be looked at")?;
    let (kafka, registry) = (state.url("kafka")?.to_owned(), state.url("registry")?.to_owned());
    let runtime = tokio::runtime::Handle::current();
    // The calls block on Kafka and the registry.
    let read = tokio::task::spawn_blocking(move || log::read(&kafka, &registry, runtime));
    let topics = read.await?.context("the topics cannot be looked at")?;
    let log::Topics { log, dead_letters, log_starts } = topics;
    let http::Mailbox { mails, since: mails_since } = mailbox;
    Ok(Evidence {
        taken_at,
        grace,
        log,
        log_starts,
        dead_letters,
        payments,
        bank,
        mails,
        mails_since,
        view,
    })
}

/// Looks, and looks again, until nothing is on its way, for `patience` at most; the last verdict. A
/// server that does not answer may be back before that: this prints its error once, and asks again.
///
/// # Errors
/// As [`collect`], when that does not change.
pub async fn audit_at_rest(
    state: &State,
    grace: Duration,
    patience: Duration,
    judge: impl Fn(&Evidence) -> Verdict,
) -> Result<Verdict> {
    const PAUSE: Duration = Duration::from_millis(500);
    let until = Instant::now() + patience;
    let mut is_told = false;
    loop {
        match collect(state, grace).await.map(|evidence| judge(&evidence)) {
            Ok(verdict) if verdict.pending() == 0 => return Ok(verdict),
            last if Instant::now() >= until => return last,
            Ok(_) => {}
            Err(error) if !is_told => {
                eprintln!("{error:#}; looking again");
                is_told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}
