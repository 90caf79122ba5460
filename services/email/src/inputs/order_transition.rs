//! A transition on `orders` that the view has read, in place of its announcement, which was deleted
//! before email has read it.

use super::{attempt::Announced, view_updated};
use crate::mailer::{DedupingMailer, Mailer};
use contracts::owns::Email;
use streams::{Failure, Record, Tx};

/// What the view has put aside was not announced: here that is passed by without a dead letter, as
/// the view has one.
pub(crate) fn handle<M: Mailer>(
    record: &Record,
    mailer: &mut DedupingMailer<M>,
    tx: &mut Tx<'_, Email>,
) -> Result<(), Failure> {
    match Announced::made_up(record, tx)? {
        Some(announced) => view_updated::mail(&announced, mailer, tx),
        None => Ok(()),
    }
}
