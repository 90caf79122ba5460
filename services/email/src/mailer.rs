//! [`Mailer`] sends mails; [`DedupingMailer`] does not repeat the last mails of this process.

use crate::domain::mail::Mail;
use std::collections::VecDeque;

/// Most records in one transaction. About one in four announces an outcome, of which the customer
/// hears.
pub const BATCH_RECORDS_MAX: usize = 64;

/// Most mails at a time for which the server has not answered yet.
pub const UNDER_WAY_MAX: usize = 16;

/// Most mails that a crash can repeat: those of the batch that was not committed, and those that
/// were under way.
pub const MAILS_REPEATED_MAX: usize = BATCH_RECORDS_MAX + UNDER_WAY_MAX;

/// Accepts mails for delivery.
pub trait Mailer: Send {
    /// Hand `mail` over. After `Ok` the mail is the server's to deliver.
    ///
    /// # Errors
    /// [`DeliveryError`]. After [`DeliveryError::Doubtful`] and [`DeliveryError::UnderWay`] the
    /// server may have accepted the mail all the same.
    fn deliver(&mut self, mail: &Mail) -> Result<(), DeliveryError>;
}

/// Why a mail is not known to be accepted, in the server's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// The server is away, or does not want us: it takes no mail.
    #[error("{0}")]
    Outage(String),
    /// The server has not answered yet. The same call again asks for the answer.
    #[error("{0}")]
    UnderWay(String),
    /// The server does not take this mail for now.
    #[error("{0}")]
    Refused(String),
    /// The server had the whole mail, and did not answer.
    #[error("{0}")]
    Doubtful(String),
    /// It will never take it.
    #[error("{0}")]
    Permanent(String),
}

/// How many of the last mails are remembered: several batches, as at most two are uncommitted.
const ACCEPTED_MAX: usize = 4 * BATCH_RECORDS_MAX;

/// A mailer that remembers what was accepted of it lately.
///
/// If a batch is given up after some of its mails were accepted, because the server went away in
/// the middle of it or because Kafka did, it comes again. What the server has is then not sent
/// again, so that only the end of the process can repeat a mail.
#[derive(Debug)]
pub struct DedupingMailer<M> {
    mailer: M,
    accepted: VecDeque<String>,
}

impl<M: Mailer> DedupingMailer<M> {
    /// Nothing has been accepted yet.
    pub fn new(mailer: M) -> Self {
        Self { mailer, accepted: VecDeque::with_capacity(ACCEPTED_MAX) }
    }

    /// Whether `mail` was handed over before.
    pub fn has_sent(&self, mail: &Mail) -> bool {
        self.accepted.contains(&mail.message_id)
    }

    /// Hand `mail` over, unless that was done.
    ///
    /// # Errors
    /// As [`Mailer::deliver`].
    pub fn deliver(&mut self, mail: &Mail) -> Result<(), DeliveryError> {
        if self.has_sent(mail) {
            return Ok(());
        }
        self.mailer.deliver(mail)?;
        if self.accepted.len() == ACCEPTED_MAX {
            self.accepted.pop_front();
        }
        self.accepted.push_back(mail.message_id.clone());
        Ok(())
    }
}
