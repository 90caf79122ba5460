//! Commands: each is answered, once and for all, and an accepted cancellation is kept.

use crate::{Law, Logged, case::Case, verdict::Findings};
use contracts::{
    CommandId, OrderId, Status,
    orders::{CancelOrder, OrderCommand, PlaceOrder},
};
use std::collections::BTreeSet;

pub(crate) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    let log = &case.evidence.log;
    let refused = log.order_refusals.iter().filter_map(Logged::read);
    let refused: BTreeSet<CommandId> = refused.map(|refusal| refusal.command_id).collect();
    for record in &log.order_commands {
        let Some(command) = record.read() else { continue };
        let is_refused = refused.contains(&command.command_id());
        let put_aside = case.letters.has_any(&record.address("orders.commands"));
        let order_id = command.order_id();
        let answered = is_refused || put_aside || is_done(case, command);
        findings.check(Law::Answers, order_id, record.timestamp, answered, || {
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
            findings.check(Law::Cancellation, order_id, record.timestamp, kept, || {
                let id = command.command_id();
                format!("CancelOrder {id} was not refused, but the order ended as {status}")
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
