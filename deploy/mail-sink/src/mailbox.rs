//! [`Mailbox`]: the newest mails, as mailpit shows them.

use std::collections::VecDeque;
use std::time::Instant;

use jiff::Timestamp;
use mail_parser::{Message, MessageParser, MessagePart};
use serde::Serialize;
use uuid::Uuid;

use crate::smtp::Envelope;

/// The oldest mail makes room for the newest.
pub(crate) const MAILS_MAX: usize = 50_000;
/// It does so as well when all of them together are longer than this.
pub(crate) const BYTES_MAX: usize = 96 * 1024 * 1024;
const SNIPPET_CHARS: usize = 250;

/// A mail address as mailpit shows it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Address {
    name: String,
    address: String,
}

/// A mail as mailpit lists it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "MessageID")]
    message_id: String,
    #[serde(rename = "From")]
    from: Address,
    #[serde(rename = "To")]
    to: Vec<Address>,
    #[serde(rename = "Subject")]
    subject: String,
    #[serde(rename = "Created")]
    created: String,
    #[serde(rename = "Snippet")]
    snippet: String,
}

/// A whole mail as mailpit shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Mail {
    #[serde(flatten)]
    summary: Summary,
    #[serde(rename = "Text")]
    text: String,
    #[serde(rename = "HTML")]
    html: String,
}

impl Mail {
    /// What a mail says that was accepted `at` this time. One that cannot be read is shown as it
    /// is.
    pub(crate) fn read(envelope: &Envelope, at: Timestamp) -> Self {
        let message = MessageParser::default().parse(&envelope.message);
        let message = message.as_ref();
        let addresses = |list: Option<&mail_parser::Address<'_>>| -> Vec<Address> {
            list.into_iter().flat_map(|list| list.iter()).map(Address::of).collect()
        };
        let mut to = addresses(message.and_then(|message| message.to()));
        if to.is_empty() {
            to = envelope.to.iter().map(|address| Address::bare(address)).collect();
        }
        let from = addresses(message.and_then(|message| message.from())).into_iter().next();
        let text = match message {
            Some(message) => message.body_text(0).unwrap_or_default().into_owned(),
            None => String::from_utf8_lossy(&envelope.message).into_owned(),
        };
        // A mail of text alone would be turned into HTML here.
        let is_html =
            |message: &&Message<'_>| message.html_part(0).is_some_and(MessagePart::is_text_html);
        let html = message.filter(is_html).and_then(|message| message.body_html(0));
        let of = |part: Option<&str>| part.unwrap_or_default().to_owned();
        let words: Vec<&str> = text.split_whitespace().collect();
        let summary = Summary {
            id: Uuid::new_v4().to_string(),
            message_id: of(message.and_then(|message| message.message_id())),
            from: from.unwrap_or_else(|| Address::bare(&envelope.from)),
            to,
            subject: of(message.and_then(|message| message.subject())),
            created: format!("{at:.3}"),
            snippet: words.join(" ").chars().take(SNIPPET_CHARS).collect(),
        };
        Self { html: html.unwrap_or_default().into_owned(), summary, text }
    }

    /// About what it takes of memory, in bytes.
    fn bytes(&self) -> usize {
        let Summary { id, message_id, from, to, subject, created, snippet } = &self.summary;
        let texts = [&self.text, &self.html, id, message_id, subject, created, snippet];
        let addresses =
            to.iter().chain([from]).map(|a| size_of::<Address>() + a.name.len() + a.address.len());
        size_of::<Self>()
            + texts.iter().map(|text| text.len()).sum::<usize>()
            + addresses.sum::<usize>()
    }
}

impl Address {
    fn of(address: &mail_parser::Addr<'_>) -> Self {
        let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
        Self { name: text(address.name()), address: text(address.address()) }
    }

    fn bare(address: &str) -> Self {
        Self { name: String::new(), address: address.to_owned() }
    }
}

/// What has been received, as far as there is room.
pub(crate) struct Mailbox {
    /// The newest first.
    mails: VecDeque<Mail>,
    bytes: usize,
    bytes_max: usize,
    accepted: usize,
    started: Instant,
}

impl Mailbox {
    /// An empty one, for mails of `bytes_max` bytes in all.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let (mails, started) = (VecDeque::new(), Instant::now());
        Self { mails, bytes: 0, bytes_max, accepted: 0, started }
    }

    /// Keeps a mail; the oldest ones make room for it.
    pub(crate) fn keep(&mut self, mail: Mail) {
        self.accepted += 1;
        self.bytes += mail.bytes();
        self.mails.push_front(mail);
        while self.mails.len() > MAILS_MAX || self.bytes > self.bytes_max && self.mails.len() > 1 {
            let Some(oldest) = self.mails.pop_back() else { return };
            self.bytes -= oldest.bytes();
        }
    }

    /// Forgets every mail.
    pub(crate) fn clear(&mut self) {
        self.mails.clear();
        self.bytes = 0;
    }

    /// How many mails are here.
    pub(crate) fn len(&self) -> usize {
        self.mails.len()
    }

    /// How many were ever accepted: an auditor sees from it whether some are missing here.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted
    }

    /// Seconds since the start.
    pub(crate) fn uptime_s(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Some of the mails, the newest first.
    pub(crate) fn page(&self, start: usize, limit: usize) -> Vec<Summary> {
        self.mails.iter().skip(start).take(limit).map(|mail| mail.summary.clone()).collect()
    }

    /// The mail with this id.
    pub(crate) fn find(&self, id: &str) -> Option<Mail> {
        self.mails.iter().find(|mail| mail.summary.id == id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-11-21T08:59:59Z";

    fn read(message: &str) -> Mail {
        let envelope = Envelope {
            from: "shop@x.org".into(),
            to: vec!["ada@x.org".into()],
            message: message.into(),
        };
        Mail::read(&envelope, AT.parse().unwrap())
    }

    #[test]
    fn a_mail_is_shown_as_mailpit_shows_it() {
        let mail = read(
            "From: The Shop <shop@x.org>\r\nTo: Ada <ada@x.org>, grace@x.org\r\n\
             Message-ID: <1.ok@x.org>\r\nSubject: =?utf-8?B?RGFua2Ugc2Now7Zu?=\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n\r\nTea =C3=A0 la\r\n  maison\r\n",
        );
        let shown = serde_json::to_value(&mail).unwrap();
        assert_eq!(shown["MessageID"], "1.ok@x.org");
        assert_eq!(shown["From"], serde_json::json!({"Name": "The Shop", "Address": "shop@x.org"}));
        assert_eq!(shown["To"][0], serde_json::json!({"Name": "Ada", "Address": "ada@x.org"}));
        assert_eq!(shown["To"][1]["Address"], "grace@x.org");
        assert_eq!(shown["Subject"], "Danke schön");
        assert_eq!(shown["Created"], "2026-11-21T08:59:59.000Z");
        assert_eq!(shown["Snippet"], "Tea à la maison");
        assert_eq!(shown["Text"], "Tea à la\r\n  maison\r\n");
        assert_eq!(shown["HTML"], "");
        let html = read("Content-Type: text/html\r\n\r\n<p>hi</p>\r\n");
        assert_eq!(serde_json::to_value(&html).unwrap()["HTML"], "<p>hi</p>\r\n");
    }

    #[test]
    fn a_mail_without_headers_has_the_addresses_of_its_envelope() {
        let shown = serde_json::to_value(read("\r\nhello\r\n")).unwrap();
        assert_eq!(shown["To"][0]["Address"], "ada@x.org");
        assert_eq!(shown["From"]["Address"], "shop@x.org");
        assert_eq!(shown["MessageID"], "");
    }

    #[test]
    fn the_oldest_makes_room_and_is_still_counted() {
        let subjects = |mailbox: &Mailbox| -> Vec<String> {
            mailbox.page(0, 10).into_iter().map(|mail| mail.subject).collect()
        };
        let mail = |n: usize| read(&format!("Subject: {n}\r\n\r\nhello\r\n"));
        let mut mailbox = Mailbox::new(mail(0).bytes() * 3);
        (0..9).for_each(|n| mailbox.keep(mail(n)));
        assert_eq!(subjects(&mailbox), ["8", "7", "6"]);
        assert_eq!((mailbox.len(), mailbox.accepted()), (3, 9));
        // One that needs all the room is kept alone.
        mailbox.keep(read(&format!("Subject: large\r\n\r\n{}\r\n", "x".repeat(9_000))));
        assert_eq!(subjects(&mailbox), ["large"]);
        mailbox.clear();
        assert_eq!((mailbox.len(), mailbox.bytes), (0, 0));
    }
}
