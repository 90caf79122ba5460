//! Commands: each has one answer, and orders keeps an accepted cancellation.

use crate::{
    case::Case,
    evidence::Logged,
    history::{History, Step, is_terminal},
    law::Law,
    laws::{NEVER, gone},
    retained::{DEAD_LETTERS, home_of},
    verdict::Findings,
};
use contracts::{
    CommandId, CustomerId, Order, OrderId, Status, Timestamp,
    orders::{CancelOrder, CommandRefused, OrderCommand, PlaceOrder},
    topics::{ORDER_COMMANDS, ORDER_REFUSALS, ORDERS},
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    let log = &case.evidence.log;
    let refused = log.order_refusals.iter().filter_map(Logged::read);
    let refused: BTreeSet<CommandId> = refused.map(|refusal| refusal.command_id).collect();
    for record in &log.order_commands {
        let Some(command) = record.read() else { continue };
        let is_refused = refused.contains(&command.command_id());
        let put_aside = case.dead_letters.has_any(&record.address("orders.commands"));
        let (order_id, at) = (command.order_id(), record.timestamp);
        let answered = is_refused || put_aside || is_done(case, command);
        let gone = answers_gone(case, order_id, at);
        findings.check_kept(Law::Answers, order_id, at, answered, gone, || {
            let (name, id) = (command.name(), command.command_id());
            format!("{name} {id} has neither led to a transition nor been refused")
        });
        if let OrderCommand::PlaceOrder(_) = command
            && is_refused
        {
            findings.check_now(Law::Refusal, order_id, !is_done(case, command), || {
                let id = command.command_id();
                format!("PlaceOrder {id} was refused, and has made the order all the same")
            });
        }
        if let OrderCommand::CancelOrder(_) = command
            && !is_refused
            && !put_aside
            && let Some(end) = case.histories.get(&order_id).and_then(|history| history.end())
        {
            let status = end.order.status;
            let kept = [Status::Cancelled, Status::Refunded].contains(&status);
            findings.check_kept(Law::Cancellation, order_id, at, kept, gone, || {
                let id = command.command_id();
                format!("CancelOrder {id} was not refused, but the order ended as {status}")
            });
        }
    }
    let cancels = Cancels::of(&log.order_commands);
    refusals(case, &cancels, findings);
    asked_for(case, &cancels, findings);
}

/// The topic that may have lost the answer to a command about `order_id` that was written `at` this
/// time.
fn answers_gone(case: &Case<'_>, order_id: OrderId, at: Timestamp) -> Option<&'static str> {
    let home = home_of(order_id);
    let mut topics = [ORDERS.name(), ORDER_REFUSALS.name()].into_iter();
    let lost = topics.find(|topic| !case.retained.has_since(topic, home, at));
    lost.or(gone(!case.has_letters_since(ORDER_COMMANDS.name(), at), DEAD_LETTERS))
}

/// The CancelOrders on the topic.
#[derive(Default)]
struct Cancels {
    /// The first place of each: its offset on the order's partition.
    offsets: BTreeMap<CommandId, i64>,
    /// The customers who may cancel their own orders alone.
    customers: BTreeMap<CommandId, CustomerId>,
    /// Who has asked for the end of which order: a customer, or a caller who may cancel all.
    asked: BTreeMap<OrderId, BTreeSet<Option<CustomerId>>>,
}

impl Cancels {
    fn of(commands: &[Logged<OrderCommand>]) -> Self {
        let mut cancels = Self::default();
        for record in commands {
            if let Some(OrderCommand::CancelOrder(cancel)) = record.read() {
                cancels.offsets.entry(cancel.command_id).or_insert(record.offset);
                if let Some(customer) = &cancel.customer_id {
                    cancels.customers.insert(cancel.command_id, customer.clone());
                }
                let asked = cancels.asked.entry(cancel.order_id).or_default();
                asked.insert(cancel.customer_id.clone());
            }
        }
        cancels
    }

    /// Whether one has asked for the end of this order who may.
    fn is_asked(&self, order: &Order) -> bool {
        let customer = Some(order.customer.customer_id.clone());
        let asked = self.asked.get(&order.order_id);
        asked.is_some_and(|asked| asked.contains(&None) || asked.contains(&customer))
    }

    /// Whether the order is not that of the customer who asks.
    fn is_of_another(&self, cancel: CommandId, step: &Step<'_>) -> bool {
        let customer = self.customers.get(&cancel);
        customer.is_some_and(|customer| *customer != step.order.customer.customer_id)
    }

    /// Whether the command comes before the PlaceOrder of this history, or there is none.
    fn is_early(&self, cancel: CommandId, history: Option<&History<'_>>) -> bool {
        let Some(first) = history.and_then(History::first) else { return true };
        let cause = first.record.causation.as_deref().unwrap_or_default();
        let placed = cause.rsplit('/').next().and_then(|offset| offset.parse::<i64>().ok());
        // What the topic has forgotten proves nothing.
        self.offsets.get(&cancel).is_none_or(|offset| placed.is_some_and(|placed| *offset < placed))
    }
}

fn refusals(case: &Case<'_>, cancels: &Cancels, findings: &mut Findings<'_>) {
    for record in &case.evidence.log.order_refusals {
        let Some(refusal) = record.read() else { continue };
        let CommandRefused { command_id, order_id, command, reasons, order_version, .. } = refusal;
        let history = case.histories.get(order_id);
        let judged_by = order_version.and_then(|version| history?.at(version));
        let right = match (command.as_str(), order_version) {
            ("CancelOrder", None) => cancels.is_early(*command_id, history),
            ("CancelOrder", Some(_)) => judged_by.is_some_and(|step| {
                is_cancelled_or_over(&step) || cancels.is_of_another(*command_id, &step)
            }),
            (_, version) => version.is_none() || judged_by.is_some(),
        };
        let holds = right && !reasons.is_empty();
        let is_gone = !case.retained.is_whole(ORDERS.name(), &record.key) && !reasons.is_empty();
        // Without the command, nothing tells who has asked.
        let is_unheard = !cancels.offsets.contains_key(command_id)
            && !case.retained.is_whole(ORDER_COMMANDS.name(), &record.key)
            && !reasons.is_empty();
        let gone = gone(is_gone, ORDERS.name()).or(gone(is_unheard, ORDER_COMMANDS.name()));
        let at = record.timestamp;
        findings.check_kept(Law::Refusal, *order_id, at, holds, gone, || {
            format!("{command} {command_id} was refused at {order_version:?} for {reasons:?}")
        });
    }
}

fn is_cancelled_or_over(step: &Step<'_>) -> bool {
    step.order.status == Status::RefundDue || is_terminal(step.order.status)
}

/// Every cancellation by the customer has a CancelOrder.
fn asked_for(case: &Case<'_>, cancels: &Cancels, findings: &mut Findings<'_>) {
    for (order_id, history) in &case.histories {
        let (Some(first), Some(last)) = (history.steps.first(), history.last()) else { continue };
        let is_said = last.order.reasons.iter().any(|r| r.code == "cancelled_by_customer");
        if is_said {
            // It comes after the PlaceOrder.
            let placed = first.record.causation.as_deref().unwrap_or_default();
            let is_gone = history.is_cut || case.retained.is_gone(placed);
            let gone = gone(is_gone, ORDER_COMMANDS.name());
            let holds = cancels.is_asked(last.order);
            findings.check_kept(Law::Cancellation, *order_id, NEVER, holds, gone, || {
                "it was cancelled by its customer, who has not asked for that".into()
            });
        }
    }
}

/// Whether the log shows that the command was accepted: there is the order that it asks for, or one
/// that it can cancel, now or when the baton returns.
fn is_done(case: &Case<'_>, command: &OrderCommand) -> bool {
    let first = |order_id: &OrderId| {
        let history = case.histories.get(order_id)?;
        history.steps.first().map(|step| step.order)
    };
    match command {
        OrderCommand::PlaceOrder(PlaceOrder { order_id, command_id, .. }) => {
            first(order_id).is_some_and(|order| order.placed_by == *command_id)
        }
        OrderCommand::CancelOrder(CancelOrder { order_id, .. }) => first(order_id).is_some(),
    }
}
