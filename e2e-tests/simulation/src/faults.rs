//! What goes wrong in the shop besides what goes wrong with Kafka ([`mod@streams_sim::faults`]).

use std::time::Duration;
use streams_sim::Fault;

streams_sim::faults! {
    /// A process dies before an SQL transaction is committed.
    CRASH_BEFORE_SQL, "crash before SQL commit", 30;
    /// A process dies after an SQL transaction was committed, before it does anything else.
    CRASH_AFTER_SQL, "crash after SQL commit", 30;
    /// A process dies when the mail server has accepted a mail.
    CRASH_WHILE_MAILING, "crash while mailing", 100;
    /// The database does not answer, and nothing was written.
    SQL_AWAY, "SQL away", 60;
    /// The database commits, and the answer is lost.
    SQL_UNKNOWN, "SQL commit unknown", 60;
    /// The databases answer and take no writes, for seconds.
    READ_ONLY, "databases read-only", 20;
    /// A request to the bank is lost.
    BANK_REQUEST_LOST, "bank request lost", 400;
    /// The bank does what it is asked, and the answer is lost.
    BANK_ANSWER_LOST, "bank answer lost", 400;
    /// The bank does what it is asked long after the caller has given up.
    BANK_LATE, "bank late", 400;
    /// The bank fails before it does anything.
    BANK_ERROR, "bank error", 400;
    /// The relay dies and sends again what it has sent since it last wrote down its position.
    RELAY_REPLAY, "relay replay", 150;
    /// The relay loses its place, as when its slot is dropped: it goes on with what is new.
    RELAY_LOSES, "relay loses its place", 200;
    /// The relay stops for seconds.
    RELAY_STALL, "relay stall", 30;
    /// The mail server does not answer, and has not taken the mail.
    MAIL_AWAY, "mail away", 200;
    /// The mail server takes a mail, and the answer is lost.
    MAIL_ANSWER_LOST, "mail answer lost", 150;
    /// The mail server wants a mail later.
    MAIL_GREYLISTED, "mail greylisted", 300;
    /// An instance of orders finds an empty catalog, and goes by that until it dies.
    LATE_CATALOG, "late catalog", 1_500;
    /// A stranger writes garbage, as large as a topic takes.
    GARBAGE, "garbage near the limit", 20;
    /// An operator deletes what was announced, read or not.
    ANNOUNCEMENTS_DELETED, "announcements deleted", 60;
    /// An instance of orders cannot read the row of a product, and goes by that until it dies.
    UNREADABLE_ROW, "unreadable row", 1_500;
    /// The same, as change data capture did not know the product's name.
    PLACEHOLDER, "placeholder in a row", 1_500;
    /// Another body comes under the id of an order, perhaps of another customer, perhaps first.
    KEY_REUSED, "key reused", 700;
    /// A request has headers that are not well-formed.
    STRANGE_HEADERS, "strange headers", 300;
}

/// How long the databases are read-only at most: longer than the shortest deadline.
pub(crate) const READ_ONLY_MAX: Duration = Duration::from_secs(10);

/// Every kind: those of the shop, and those of Kafka and its clients.
pub fn all() -> impl Iterator<Item = Fault> {
    streams_sim::faults::ALL.iter().chain(ALL).copied()
}
