//! [`EmailProcessor`]: reads `order-views`, mails, and writes `emails`.

use crate::{
    adapters::store,
    inputs::{email_sent, email_waiting, mail_due, order_transition, view_updated},
    mailer::{DedupingMailer, Mailer},
    topology,
};
use contracts::{
    owns::Email,
    topics::{self, EMAILS, EMAILS_WAITING, ORDERS, TopicSpec},
};
use streams::{
    Failure, Processor, Record, Source, StandIn, Tx,
    store::{Layout, LayoutError},
};

/// One mail per order and kind.
pub struct EmailProcessor<M> {
    mailer: DedupingMailer<M>,
}

impl<M: Mailer> EmailProcessor<M> {
    /// A processor that mails through `mailer`.
    pub fn new(mailer: M) -> Self {
        Self { mailer: DedupingMailer::new(mailer) }
    }
}

impl<M: Mailer> Processor for EmailProcessor<M> {
    type Identity = Email;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        topics::inputs(topology::FLOWS)
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        topics::outputs(topology::FLOWS)
    }

    fn sources(&self) -> Vec<Source> {
        topology::SOURCES.to_vec()
    }

    fn stand_in(&self, topic: &str) -> Option<StandIn> {
        topology::stand_in(topic)
    }

    fn layout() -> Result<Layout, LayoutError> {
        store::layout()
    }

    fn is_awaited(&self, record: &Record) -> bool {
        topics::is_awaited(topology::FLOWS, record)
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, Email>) -> Result<(), Failure> {
        if record.is_on(&EMAILS) {
            return email_sent::handle(record, tx);
        }
        if record.is_on(&EMAILS_WAITING) {
            return email_waiting::handle(record, tx);
        }
        match record.is_on(&ORDERS) {
            true => order_transition::handle(record, &mut self.mailer, tx),
            false => view_updated::handle(record, &mut self.mailer, tx),
        }
    }

    fn tick(&mut self, tx: &mut Tx<'_, Email>) -> Result<(), Failure> {
        mail_due::handle(&mut self.mailer, tx)
    }
}
