//! [`Measured`]: a mailer whose attempts are counted.

use crate::{
    domain::mail::Mail,
    mailer::{DeliveryError, Mailer},
};
use contracts::metrics::{MAIL_SECONDS, MAILS};
use std::time::Instant;
use streams::Meters;

/// Counts each attempt when it is made: a mail is sent whether or not its record is committed.
#[derive(Debug)]
pub struct Measured<M> {
    mailer: M,
    meters: Meters,
}

impl<M> Measured<M> {
    /// `mailer`, with its attempts for `meters`.
    pub fn new(mailer: M, meters: Meters) -> Self {
        for outcome in ["accepted", "refused", "doubtful", "under_way", "permanent", "outage"] {
            meters.count(&MAILS, &[outcome], 0);
        }
        Self { mailer, meters }
    }
}

impl<M: Mailer> Mailer for Measured<M> {
    fn deliver(&mut self, mail: &Mail) -> Result<(), DeliveryError> {
        let begun = Instant::now();
        let delivered = self.mailer.deliver(mail);
        self.meters.record(&MAIL_SECONDS, &[], begun.elapsed().as_secs_f64());
        let outcome = match &delivered {
            Ok(()) => "accepted",
            Err(DeliveryError::Refused(_)) => "refused",
            Err(DeliveryError::Doubtful(_)) => "doubtful",
            Err(DeliveryError::UnderWay(_)) => "under_way",
            Err(DeliveryError::Permanent(_)) => "permanent",
            Err(DeliveryError::Outage(_)) => "outage",
        };
        self.meters.count(&MAILS, &[outcome], 1);
        delivered
    }
}
