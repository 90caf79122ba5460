//! The bank's statement and the mail server, page by page.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use auditor::{BankEntry, Booking, Mail};
use contracts::{Currency, Money, Timestamp};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Longest wait for one page.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
const PAGE: usize = 1_000;

#[derive(Deserialize)]
struct Statement {
    entries: Vec<Entry>,
    next_since: Option<u64>,
}

#[derive(Deserialize)]
struct Entry {
    at: i64,
    key: String,
    kind: Booking,
    amount_minor: i64,
    currency: Currency,
    customer: String,
    charge_id: String,
}

/// Everything that the bank at `url` has booked.
pub(super) async fn statement(http: &Client, url: &str) -> Result<Vec<BankEntry>> {
    let (mut booked, mut since) = (Vec::new(), 0);
    loop {
        let page = format!("{url}/statement?since={since}&limit={PAGE}");
        let page: Statement = get(http, &page).await?;
        booked.extend(page.entries.into_iter().map(|entry| BankEntry {
            key: entry.key,
            kind: entry.kind,
            amount: Money::new(entry.amount_minor, entry.currency),
            customer: entry.customer,
            charge_id: entry.charge_id,
            at: Timestamp(entry.at),
        }));
        match page.next_since {
            Some(next) => since = next,
            None => return Ok(booked),
        }
    }
}

/// What a mail server has accepted, and since when it has kept all of it.
pub(super) struct Mailbox {
    pub(super) mails: Vec<Mail>,
    pub(super) since: Timestamp,
}

/// As mailpit's `GET /api/v1/info` has it; its early versions say nothing about the running
/// process.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    runtime_stats: Option<RuntimeStats>,
}

#[derive(Deserialize)]
struct RuntimeStats {
    #[serde(rename = "Uptime")]
    uptime_s: u64,
    #[serde(rename = "SMTPAccepted")]
    accepted: usize,
}

#[derive(Deserialize)]
struct Messages {
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "MessageID")]
    message_id: String,
    #[serde(rename = "To")]
    to: Vec<Address>,
    #[serde(rename = "Created")]
    created: String,
}

#[derive(Deserialize)]
struct Address {
    #[serde(rename = "Address")]
    address: String,
}

/// All mails of the mail server at `url`. It lists the newest first, and more may come meanwhile:
/// these move others to the next page, where they are met again.
pub(super) async fn mailbox(http: &Client, url: &str) -> Result<Mailbox> {
    let info = info(http, &format!("{url}/api/v1/info")).await?;
    let mut mails = HashMap::new();
    for page in 0.. {
        let start = page * PAGE;
        let listed: Messages =
            get(http, &format!("{url}/api/v1/messages?start={start}&limit={PAGE}")).await?;
        if listed.messages.is_empty() {
            break;
        }
        for message in listed.messages {
            let at: jiff::Timestamp = message
                .created
                .parse()
                .with_context(|| format!("the time of the mail {}", message.id))?;
            let to = message.to.into_iter().next().map(|to| to.address).unwrap_or_default();
            let at = Timestamp(at.as_millisecond());
            mails.insert(message.id, Mail { message_id: message.message_id, to, at });
        }
    }
    let mails: Vec<Mail> = mails.into_values().collect();
    let since = kept_since(info.as_ref(), &mails);
    Ok(Mailbox { mails, since })
}

/// What the mail server says of itself; some servers say nothing.
async fn info(http: &Client, url: &str) -> Result<Option<Info>> {
    let answer = http.get(url).send().await.with_context(|| format!("no answer at {url}"))?;
    if answer.status() == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let info = answer.error_for_status()?.json().await;
    info.map(Some).with_context(|| format!("{url} answers something unexpected"))
}

/// A mail server keeps mails from its start on, but not more than it has room for: if it may have
/// dropped some, all are there since the oldest.
fn kept_since(info: Option<&Info>, mails: &[Mail]) -> Timestamp {
    let oldest = mails.iter().map(|mail| mail.at).min();
    let Some(RuntimeStats { uptime_s, accepted }) =
        info.and_then(|info| info.runtime_stats.as_ref())
    else {
        return oldest.unwrap_or_else(Timestamp::now);
    };
    let uptime_ms = i64::try_from(*uptime_s).unwrap_or(i64::MAX).saturating_mul(1_000);
    let started = Timestamp(Timestamp::now().millis().saturating_sub(uptime_ms).max(0));
    let dropped_before = oldest.filter(|_| *accepted > mails.len());
    started.max(dropped_before.unwrap_or_default())
}

async fn get<T: DeserializeOwned>(http: &Client, url: &str) -> Result<T> {
    let answer = http.get(url).send().await.with_context(|| format!("no answer at {url}"))?;
    let answer = answer.error_for_status()?;
    answer.json().await.with_context(|| format!("{url} answers something unexpected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_that_may_have_been_dropped_are_not_missed() {
        let mail = |at| Mail { message_id: String::new(), to: String::new(), at: Timestamp(at) };
        let mails = [mail(2_000), mail(1_000)];
        let info =
            |uptime_s, accepted| Info { runtime_stats: Some(RuntimeStats { uptime_s, accepted }) };
        let long = 100 * 365 * 24 * 3600;
        assert_eq!(kept_since(Some(&info(long, 2)), &mails), Timestamp(0));
        assert_eq!(kept_since(Some(&info(long, 3)), &mails), Timestamp(1_000));
        assert_eq!(kept_since(None, &mails), Timestamp(1_000));
        assert_eq!(kept_since(Some(&Info { runtime_stats: None }), &mails), Timestamp(1_000));
        assert!(kept_since(Some(&info(1, 2)), &mails) > Timestamp(2_000), "it began a second ago");
    }
}
