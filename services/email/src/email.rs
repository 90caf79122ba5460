//! [`EmailLoop`]: reads `order-views`, mails, and writes `emails`.

use crate::{
    handlers::on_view_updated,
    mailer::{Mailer, Outbox},
    store, topology,
};
use contracts::{
    OrderId,
    owns::Email,
    topics::{self, EMAILS, ORDER_VIEWS, TopicSpec},
};
use streams::{Failure, Processor, Record, Source, Tx};

/// One mail per order and kind.
pub struct EmailLoop<M> {
    outbox: Outbox<M>,
}

impl<M: Mailer> EmailLoop<M> {
    /// A loop that mails through `mailer`.
    pub fn new(mailer: M) -> Self {
        Self { outbox: Outbox::new(mailer) }
    }
}

impl<M: Mailer> Processor for EmailLoop<M> {
    type Identity = Email;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        topics::inputs(&topology::FLOWS)
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        topics::outputs(&topology::FLOWS)
    }

    fn sources(&self) -> Vec<Source> {
        topology::SOURCES.to_vec()
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, Email>) -> Result<(), Failure> {
        if record.is_on(&EMAILS) {
            return store::read_back(record, tx);
        }
        let update = tx.decode(&ORDER_VIEWS, record)?;
        let key: OrderId = record.key_as()?;
        if key != update.order_id {
            let cause = format!("the record's key is {key}, but it announces {}", update.order_id);
            return Err(Failure::Poison(cause));
        }
        // The order was written by orders or payments, the record by the view: so the writer of
        // the one says nothing about the other.
        update.order.check_alone(key).map_err(Failure::poison)?;
        on_view_updated::handle(&update, &mut self.outbox, tx)
    }
}
