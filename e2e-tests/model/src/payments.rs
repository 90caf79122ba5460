//! Payments: its intake, its supervisor with the calls to the bank, and the relay of its outbox.

use crate::{
    Broken,
    known::Known,
    world::{Call, Life},
};
use contracts::{Order, ServiceName, Status, Timestamp, TransitionKind};
use payments::domain::{Decision, Input, State, Task, decide, evolve};

type Result<T> = std::result::Result<T, String>;

/// What a transition says to payments, if anything.
fn input_of(order: &Order) -> Option<Input> {
    match (order.transition, order.status) {
        (TransitionKind::OrderValidated, _) => Some(Input::OrderValidated(order.clone())),
        (TransitionKind::OrderCancelled, Status::RefundDue) => {
            Some(Input::RefundDue(order.clone()))
        }
        _ => None,
    }
}

impl Life {
    /// Passes payments over transitions that are not for it, as [`Life::pass_split`].
    pub fn pass_payments(&mut self) {
        let unread = &self.transitions.records[self.payments_read..];
        self.payments_read +=
            unread.iter().take_while(|logged| input_of(&logged.order).is_none()).count();
    }

    /// The intake reads a transition.
    pub fn intake(&mut self, now: Timestamp) -> Result<()> {
        let input = input_of(&self.transitions.records[self.payments_read].order);
        self.payments_read += 1;
        input.map_or(Ok(()), |input| self.settle(input, now, None))
    }

    /// What the supervisor would ask of the bank now, if it is not asking already.
    pub fn open_task(&self) -> Option<Task> {
        let task = self.payment.as_ref().and_then(|payment| payment.task());
        if self.call.is_none() { task } else { None }
    }

    /// The supervisor claims the payment and calls the bank; for a charge, not after its deadline.
    pub fn claim(&mut self, now: Timestamp) {
        let Some((task, payment)) = self.open_task().zip(self.payment.as_ref()) else { return };
        self.call = Some(match task {
            Task::Charge if now >= payment.order.deadline => {
                Call::Answered(Input::DeadlinePassed, now)
            }
            Task::Charge | Task::Void | Task::Refund => Call::Asked(task),
        });
    }

    /// The request arrives at the bank.
    pub fn bank_acts(&mut self, declines: bool, broken: Option<Broken>) {
        if let Some(Call::Asked(task)) = self.call {
            let has_key = broken != Some(Broken::NoIdempotencyKey);
            self.call = Some(Call::Acted(self.account.act(task, declines, has_key)));
        }
    }

    /// A request arrives at the bank after payments has stopped waiting for its answer.
    pub fn stray_arrives(&mut self, which: usize, declines: bool, broken: Option<Broken>) {
        let task = self.strays.remove(which);
        self.account.act(task, declines, broken != Some(Broken::NoIdempotencyKey));
    }

    /// The bank's answer arrives.
    pub fn answer_arrives(&mut self, now: Timestamp) {
        self.call = match self.call.take() {
            Some(Call::Acted(input)) => Some(Call::Answered(input, now)),
            other => other,
        };
    }

    /// The supervisor writes the answer, as of the time when it came.
    pub fn write_answer(&mut self, broken: Option<Broken>) -> Result<()> {
        let Some(Call::Answered(input, at)) = self.call.take() else { return Ok(()) };
        self.settle(input, at, broken)
    }

    /// Whether the supervisor has to end the payment: its deadline has passed without an outcome.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.payment.as_ref().is_some_and(|payment| {
            payment.status == payments::domain::Status::Intent && payment.order.deadline <= now
        })
    }

    /// The supervisor ends an expired payment. A call under way has lost its claim.
    pub fn expire(&mut self, now: Timestamp, broken: Option<Broken>) -> Result<()> {
        self.forget_call(true);
        self.settle(Input::DeadlinePassed, now, broken)
    }

    /// Payments stops waiting for the call. A request on its way may still arrive, or not.
    pub fn forget_call(&mut self, request_arrives: bool) {
        if let Some(Call::Asked(task)) = self.call.take()
            && request_arrives
        {
            self.strays.push(task);
        }
    }

    /// Payments waits no longer for the bank, and knows that it does not know.
    pub fn give_up_the_call(&mut self, now: Timestamp, broken: Option<Broken>) -> Result<()> {
        self.settle(Input::BankUnknown("no answer".into()), now, broken)
    }

    /// Debezium publishes the next row of the outbox.
    pub fn relay(&mut self) {
        if let Some(order) = self.outbox.next() {
            self.outbox.read += 1;
            self.write(Order::clone(&order), ServiceName::Payments, None);
        }
    }

    /// One SQL transaction: what `input` changes, and the message about it.
    fn settle(&mut self, input: Input, at: Timestamp, broken: Option<Broken>) -> Result<()> {
        let state: State = self.payment.as_deref().cloned();
        let decision = decide(&state, input, at);
        match &decision {
            Decision::Capture { next, .. } => self.outbox.push(next.order().clone()),
            Decision::Decline { next, .. } => self.outbox.push(next.order().clone()),
            Decision::Refund { next } => self.outbox.push(next.order().clone()),
            Decision::Impossible(why) => return Err(why.clone()),
            Decision::Intend(_)
            | Decision::VoidLate { .. }
            | Decision::Voided
            | Decision::OweRefund(_)
            | Decision::Retry(_)
            | Decision::Ignored(_) => {}
        }
        let mut payment = evolve(state, &decision);
        if let (Some(Broken::NoVoid), Some(payment)) = (broken, &mut payment) {
            payment.void_due = false;
        }
        self.payment = payment.map(Known::from);
        Ok(())
    }
}
