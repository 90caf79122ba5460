//! The mutations, each with the law that notices it: those of the runtime
//! ([`streams_sim::mutation`]), and those of the shop. These change a model around the services, or
//! what a service reads, never a service.

use auditor::Law;
use contracts::{
    OrderId, Sku, TransitionKind,
    inventory::{InventoryCommand, OrderValidation, Outcome},
    topics::{INVENTORY_COMMANDS, ORDER_VALIDATIONS, ORDERS},
};
use std::collections::BTreeMap;
use streams::{Codec, Record};
use streams_sim::{
    Mutation,
    mutation::{self, Swap},
};

streams_sim::mutations! {
    COUNTED_ANSWERS, "counted-answers",
        "Orders counts the answers to its checks, whatever they say, instead of matching a set.";
    RELEASE_ANY, "release-any", "Release gives back what another order holds.";
    NO_BANK_KEY, "no-bank-key", "The bank is called without an idempotency key.";
    NO_RESEND, "no-resend", "Payments does not send again what has not come back.";
    NO_VIEW_GUARD, "no-view-guard", "The view overwrites rows whatever their version.";
}

/// Every mutation, with the law that notices it, among others.
pub const NOTICED: &[(Mutation, Law)] = &[
    (mutation::NO_TRANSACTIONS, Law::Level),
    (mutation::OFFSETS_APART, Law::Restocks),
    (mutation::READ_UNCOMMITTED, Law::Latest),
    (mutation::NO_FENCING, Law::Versions),
    (mutation::NO_REWIND, Law::MailMatches),
    (mutation::KEEP_STORE, Law::Latest),
    (mutation::FORGET_REVOCATION, Law::Versions),
    (mutation::COMMIT_FENCED, Law::Restocks),
    (mutation::REUSE_PRODUCER, Law::Reserved),
    (mutation::STATE_BEFORE_COMMIT, Law::Answers),
    (mutation::SHORT_RESTORE, Law::Versions),
    (mutation::OWN_CLOCK, Law::InTime),
    (COUNTED_ANSWERS, Law::Checks),
    (RELEASE_ANY, Law::Fate),
    (NO_BANK_KEY, Law::OneCapture),
    (NO_RESEND, Law::Deadline),
    (NO_VIEW_GUARD, Law::ViewOrders),
];

/// The mutation called `name`.
///
/// # Errors
/// With the names that there are.
pub fn named(name: &str) -> Result<Mutation, String> {
    let known = NOTICED.iter().find(|(mutation, _)| mutation.name == name);
    known.map(|(mutation, _)| *mutation).ok_or_else(|| {
        let names: Vec<_> = NOTICED.iter().map(|(mutation, _)| mutation.name).collect();
        format!("there is no mutation `{name}`; there are {}", names.join(", "))
    })
}

/// [`COUNTED_ANSWERS`]: the n-th answer acknowledges the n-th check, whatever it says and
/// whichever check it is for.
pub(crate) fn count_answers(codec: Codec) -> Swap {
    let mut required: BTreeMap<OrderId, Vec<String>> = BTreeMap::new();
    let mut counted: BTreeMap<OrderId, usize> = BTreeMap::new();
    Box::new(move |record| {
        let value = record.value.as_deref()?;
        if record.is_on(&ORDERS) {
            let order = codec.decode(&ORDERS, value).ok()?;
            if order.transition == TransitionKind::OrderRequested {
                required.insert(order.order_id, order.required_checks);
            }
            return None;
        }
        if !record.is_on(&ORDER_VALIDATIONS) {
            return None;
        }
        let answer = codec.decode(&ORDER_VALIDATIONS, value).ok()?;
        let checks = required.get(&answer.order_id)?;
        let number = counted.entry(answer.order_id).or_insert(0);
        let check = checks.get(*number)?.clone();
        *number += 1;
        let acknowledged = OrderValidation { check, outcome: Outcome::Passed, ..answer };
        let value = codec.encode(&ORDER_VALIDATIONS.spec, &acknowledged).ok()?;
        Some(Record { value: Some(value), ..record.clone() })
    })
}

/// [`RELEASE_ANY`]: a Release is for the order that asked for the product last.
pub(crate) fn release_any(codec: Codec) -> Swap {
    let mut last: BTreeMap<Sku, OrderId> = BTreeMap::new();
    Box::new(move |record| {
        if !record.is_on(&INVENTORY_COMMANDS) {
            return None;
        }
        let command = codec.decode(&INVENTORY_COMMANDS, record.value.as_deref()?).ok()?;
        match command {
            InventoryCommand::Reserve(reserve) => {
                last.insert(reserve.sku, reserve.order_id);
                None
            }
            InventoryCommand::Release(mut release) => {
                release.order_id = *last.get(&release.sku)?;
                let any = InventoryCommand::Release(release);
                let value = codec.encode(&INVENTORY_COMMANDS.spec, &any).ok()?;
                Some(Record { value: Some(value), ..record.clone() })
            }
            InventoryCommand::Commit(_) | InventoryCommand::Restock(_) => None,
        }
    })
}
