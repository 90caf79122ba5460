//! Goal: every answer of the bank, from every state of a key, and that a repetition books nothing.

use super::*;

const KEY: &str = "o-1";

fn order(amount_minor: i64, customer: &str) -> ChargeOrder {
    ChargeOrder {
        amount_minor,
        currency: "EUR".to_owned(),
        customer: customer.to_owned(),
        reference: KEY.to_owned(),
    }
}

fn rules() -> Rules {
    Rules { declined_customers: vec!["declan".to_owned()], decline_amount_ending_minor: Some(13) }
}

fn charge(amount_minor: i64) -> Request {
    Request::Charge(order(amount_minor, "ada"))
}

fn captured(repeated: bool) -> Answer {
    Answer::Captured { charge_id: "ch_00000001".to_owned(), repeated }
}

fn refunded(repeated: bool) -> Answer {
    Answer::Refunded { refund_id: "re_00000002".to_owned(), repeated }
}

fn request(ledger: &mut Ledger, request: Request) -> Answer {
    let (answer, change) = decide(ledger, &rules(), KEY, request);
    if let Some(change) = change {
        ledger.apply(Fact { at: 7, key: KEY.to_owned(), change }).unwrap();
    }
    answer
}

/// Given these requests, the next one is answered so and books `entries` in all; and the same
/// request again books nothing more.
fn check(given: &[Request], when: Request, then: &Answer, entries: usize) {
    let mut ledger = Ledger::default();
    for earlier in given {
        request(&mut ledger, earlier.clone());
    }
    assert_eq!(&request(&mut ledger, when.clone()), then, "{given:?} then {when:?}");
    assert_eq!(ledger.booked.len(), entries, "{given:?} then {when:?}");
    request(&mut ledger, when.clone());
    assert_eq!(ledger.booked.len(), entries, "{given:?} then {when:?} twice");
}

#[test]
fn charges() {
    let refund = Request::Refund { amount_minor: 500 };
    check(&[], charge(500), &captured(false), 1);
    check(&[charge(500)], charge(500), &captured(true), 1);
    check(&[charge(500)], charge(501), &Answer::KeyReused, 1);
    check(&[charge(500), Request::Void], charge(500), &Answer::KeyVoided, 2);
    check(&[Request::Void], charge(500), &Answer::KeyVoided, 0);
    check(&[charge(500), refund], charge(500), &captured(true), 2);
}

#[test]
fn declines() {
    let decline = |code: &str, detail: &str| {
        Answer::Declined(Decline { code: code.to_owned(), detail: detail.to_owned() })
    };
    let amount = decline("amount_rule", "amounts ending in .13 are declined");
    let customer = decline("customer_rule", "declan is always declined");
    let declan = || Request::Charge(order(500, "declan"));
    check(&[], charge(513), &amount, 0);
    check(&[charge(513)], charge(513), &amount, 0);
    check(&[charge(513)], charge(500), &Answer::KeyReused, 0);
    check(&[], declan(), &customer, 0);
    check(&[declan()], declan(), &customer, 0);
}

#[test]
fn an_answer_outlives_the_rule_that_it_came_from() {
    let mut ledger = Ledger::default();
    let declined = request(&mut ledger, charge(513));
    let lenient = Rules { declined_customers: Vec::new(), decline_amount_ending_minor: None };
    assert_eq!(decide(&ledger, &lenient, KEY, charge(513)), (declined, None));
}

#[test]
fn voids() {
    let refund = Request::Refund { amount_minor: 500 };
    check(&[], Request::Void, &Answer::Voided, 0);
    check(&[Request::Void], Request::Void, &Answer::AlreadyVoided, 0);
    check(&[charge(500)], Request::Void, &Answer::Voided, 2);
    check(&[charge(500), Request::Void], Request::Void, &Answer::AlreadyVoided, 2);
    check(&[charge(513)], Request::Void, &Answer::AlreadyVoided, 0);
    check(&[charge(500), refund], Request::Void, &Answer::AlreadyRefunded, 2);
}

#[test]
fn refunds() {
    let refund = |amount_minor| Request::Refund { amount_minor };
    check(&[], refund(500), &Answer::UnknownCharge, 0);
    check(&[charge(500)], refund(500), &refunded(false), 2);
    check(&[charge(500), refund(500)], refund(500), &refunded(true), 2);
    let differs = Answer::AmountDiffers { captured_minor: 500 };
    check(&[charge(500)], refund(499), &differs, 1);
    check(&[charge(500), refund(500)], refund(1), &differs, 2);
    check(&[charge(513)], refund(513), &Answer::NotCaptured, 0);
    check(&[charge(500), Request::Void], refund(500), &Answer::KeyVoided, 2);
    check(&[Request::Void], refund(500), &Answer::KeyVoided, 0);
}

#[test]
fn a_fact_that_cannot_follow_changes_nothing() {
    for change in [Change::Voided, Change::Refunded] {
        let mut ledger = Ledger::default();
        let fact = Fact { at: 7, key: KEY.to_owned(), change };
        assert_eq!(ledger.apply(fact), Err(Inconsistent));
        assert!(ledger.charge(KEY).is_none() && ledger.booked.is_empty());
    }
    let mut ledger = Ledger::default();
    request(&mut ledger, charge(500));
    let change = Change::Captured { order: order(500, "ada") };
    assert_eq!(ledger.apply(Fact { at: 7, key: KEY.to_owned(), change }), Err(Inconsistent));
    assert_eq!(ledger.booked.len(), 1);
}

#[test]
fn the_statement_is_paged_and_its_totals_are_not() {
    let mut ledger = Ledger::default();
    for (key, customer, amount_minor) in [("a", "ada", 100), ("b", "grace", 200), ("c", "ada", 400)]
    {
        let change = Change::Captured { order: order(amount_minor, customer) };
        ledger.apply(Fact { at: 7, key: key.to_owned(), change }).unwrap();
    }
    for (key, change) in [("a", Change::Refunded), ("b", Change::Voided)] {
        ledger.apply(Fact { at: 8, key: key.to_owned(), change }).unwrap();
    }
    let mut filter = Filter { customer: None, since: 0, limit: 2 };
    let mut amounts = Vec::new();
    loop {
        let page = ledger.statement(&filter);
        amounts.extend(page.entries.iter().map(|entry| (entry.entry_id, entry.amount_minor)));
        let Some(since) = page.next_since else { break };
        filter.since = since;
    }
    assert_eq!(amounts, [(1, 100), (2, 200), (3, 400), (4, -100), (5, -200)]);

    let all = Filter { customer: None, since: 0, limit: 1 };
    let totals = Totals {
        entries: 5,
        captured_minor: 700,
        voided_minor: 200,
        refunded_minor: 100,
        net_minor: 400,
    };
    assert_eq!(ledger.statement(&all).totals["EUR"], totals);
    let ada = Filter { customer: Some("ada".to_owned()), since: 1, limit: 9 };
    assert_eq!(ledger.statement(&ada).totals["EUR"].net_minor, 300);
}
