//! Payments: a step is one record through its own intake, or one step of its own supervisor, over
//! its tables in memory. Leases and back-offs may end at any moment: the clock of its database is
//! far ahead of every one of them.

use crate::{
    Broken,
    known::{Known, Memo},
    message::{Message, codec},
};
use contracts::{
    Timestamp,
    topics::{self, ORDERS},
};
use payments::{
    memory::{Connection, Server, Tables, at_once},
    processor::PaymentsIntake,
    supervisor::{Call, Called, Settings, Supervisor},
};
use std::sync::{Arc, LazyLock};
use uuid::Uuid;

/// The clock of the database.
const ENDLESS: Timestamp = Timestamp(i64::MAX);

/// What payments acts upon.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Work {
    /// The intake reads the record at this offset of this partition of `orders`.
    Record(Known<Message>, i32, usize),
    /// The supervisor looks for what is due.
    Look,
    /// The supervisor gets the answer of a call.
    Called(Known<Called>),
}

/// A step of payments.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    /// Its tables, as far as they are about one order: what others are about is locked.
    pub tables: Known<Tables>,
    /// What it acts upon.
    pub work: Work,
    /// When.
    pub now: Timestamp,
    /// A late charge is not voided.
    pub no_void: bool,
}

/// What has come of a step.
#[derive(Debug, Clone)]
pub struct Done {
    /// The tables after it.
    pub tables: Known<Tables>,
    /// Calls to make.
    pub calls: Arc<[Known<Call>]>,
    /// Why something was refused, if it was.
    pub refused: Option<String>,
}

struct Own(Tables);

impl Server for Own {
    fn tables(&self) -> &Tables {
        &self.0
    }

    fn tables_mut(&mut self) -> &mut Tables {
        &mut self.0
    }

    fn now(&self) -> Timestamp {
        ENDLESS
    }
}

impl Step {
    /// A step of payments at `now`.
    pub fn new(tables: &Known<Tables>, work: Work, now: Timestamp, broken: Option<Broken>) -> Self {
        Self { tables: tables.clone(), work, now, no_void: broken == Some(Broken::NoVoid) }
    }

    /// What comes of it.
    pub fn take(self) -> Done {
        static MEMO: LazyLock<Memo<Step, Done>> = LazyLock::new(Memo::default);
        MEMO.get(self, |step| step.run())
    }

    fn run(&self) -> Done {
        let mut database = Connection(Own(Tables::clone(&self.tables)));
        let calls = match &self.work {
            Work::Record(message, partition, offset) => {
                self.read(&mut database, message, *partition, *offset);
                Vec::new()
            }
            Work::Look => self.supervise(&mut database, None),
            Work::Called(called) => self.supervise(&mut database, Some(called)),
        };
        let Connection(Own(mut tables)) = database;
        for stored in tables.payments.values_mut().filter(|_| self.no_void) {
            if std::mem::take(&mut stored.row.payment.void_due) {
                stored.due_at = None;
            }
        }
        let letter = tables.outbox.iter().find(|row| row.message().topic != ORDERS.name());
        let aside = tables.set_aside.iter().next();
        let refused = letter
            .map(|row| format!("{:?}", row.message().headers))
            .or_else(|| aside.map(|order| format!("the payment of {order} was set aside")));
        Done { tables: tables.into(), calls: calls.into_iter().map(Known::from).collect(), refused }
    }

    /// An intake that has just taken the partition over.
    fn read(
        &self,
        database: &mut Connection<Own>,
        message: &Message,
        partition: i32,
        offset: usize,
    ) {
        let mut intake = PaymentsIntake::new(codec().clone());
        let place = (topics::ORDERS.name().to_owned(), partition);
        let batch = [message.record(partition, offset)];
        let decoded = intake.read(&batch).expect("a registry in memory answers");
        at_once(intake.claim(database, &[place])).expect("nothing is away");
        at_once(intake.apply(database, &decoded, self.now)).expect("nothing is away");
    }

    /// A new supervisor: the database has all that one must remember. Each claims with the same
    /// token, as no call outlives its claim here ([`crate::steps`]).
    fn supervise(&self, database: &mut Connection<Own>, called: Option<&Called>) -> Vec<Call> {
        let mut supervisor = Supervisor::new(codec().clone(), Settings::DEFAULT, Uuid::nil());
        called.into_iter().for_each(|called| supervisor.called(called.clone()));
        at_once(supervisor.step(database, self.now)).expect("nothing is away").calls
    }
}
