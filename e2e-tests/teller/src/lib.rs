//! What payments asks of the bank, and what it hears. What the bank decides is the bank simulator's
//! own ledger; its answers are told as `services/payments/src/adapters/bank.rs` reads them from
//! HTTP.

use bank_simulator::ledger::{Answer as Told, ChargeOrder, Fact, Ledger, Request, Rules, decide};
use contracts::Timestamp;
use payments::{
    domain::{Answer, Input, Task},
    supervisor::Call,
};

/// The bank gets the request of `call` under the idempotency `key`, books what follows at `now`,
/// and says this.
pub fn ask(ledger: &mut Ledger, rules: &Rules, key: String, call: &Call, now: Timestamp) -> Input {
    let order = &call.payment.order;
    let amount_minor = order.total.amount_minor;
    let request = match call.task {
        Task::Charge => {
            let reference = order.order_id.to_string();
            let customer = order.customer.customer_id.to_string();
            let currency = order.total.currency.to_string();
            Request::Charge(ChargeOrder { amount_minor, currency, customer, reference })
        }
        Task::Void => Request::Void,
        Task::Refund => Request::Refund { amount_minor },
    };
    let (told, change) = decide(ledger, rules, &key, request);
    if let Some(change) = change {
        let at = u64::try_from(now.millis()).unwrap_or_default();
        let applied = ledger.apply(Fact { at, key, change });
        applied.expect("what the bank decides follows from what it knows");
    }
    heard(call.task, told)
}

/// What payments hears when the bank says this.
fn heard(task: Task, told: Told) -> Input {
    let answer = match (task, told) {
        (Task::Charge, Told::Captured { charge_id, .. }) => {
            Answer::Captured { reference: charge_id }
        }
        (Task::Charge, Told::Declined(why)) => {
            Answer::Declined { code: why.code, detail: why.detail }
        }
        (Task::Charge, Told::KeyVoided) => Answer::Voided,
        (Task::Charge, Told::KeyReused) => {
            let code = "idempotency_key_reused".to_owned();
            Answer::Refused { code, detail: "the key belongs to another charge".to_owned() }
        }
        (Task::Void, Told::Voided | Told::AlreadyVoided | Told::AlreadyRefunded) => {
            return Input::VoidConfirmed;
        }
        (Task::Refund, Told::Refunded { .. } | Told::KeyVoided) => return Input::RefundConfirmed,
        (_, told) => return Input::BankUnknown(format!("the bank answered {told:?}")),
    };
    Input::BankAnswered(answer)
}
