//! Which status is mailed about, and which announcement is a dead letter.

use crate::fixtures::{
    AT, Postbox, cancelled, confirmed, declined, order_id, paid, refunded, rejected, requested,
    seen, validated,
};
use contracts::{
    Order,
    email::{EmailKind, EmailSent},
    topics::{EMAILS, ORDER_VIEWS},
    view::ViewUpdated,
};
use email::{
    EmailProcessor,
    domain::notice::{Decision, Impossible, Mails, NoOp, decide, evolve},
};
use streams::Headers;
use testkit::{Driver, apply_twice};

#[track_caller]
fn check(sent: &[EmailKind], order: Order, then: Decision) {
    let update = seen(order);
    let mails = Mails { sent: sent.to_vec(), waiting: None };
    let decision = decide(&mails, &update, AT);
    assert_eq!(decision, then);
    let again = decide(&evolve(mails, &decision), &update, AT);
    assert!(matches!(again, Decision::Ignored(_)), "a second time: {again:?}");
}

#[test]
fn only_a_settled_order_is_mailed_about_and_once() {
    let send = Decision::Send;
    let ignored = Decision::Ignored;
    check(&[], requested(1), ignored(NoOp::NotSettled));
    check(&[], validated(1), ignored(NoOp::NotSettled));
    check(&[], paid(1), ignored(NoOp::NotSettled));
    check(&[], declined(1), ignored(NoOp::NotSettled));
    check(&[], cancelled(&paid(1)), ignored(NoOp::NotSettled));
    check(&[], confirmed(1), send(EmailKind::Confirmation));
    check(&[], rejected(1), send(EmailKind::Rejection));
    check(&[], cancelled(&requested(1)), send(EmailKind::Cancellation));
    check(&[], cancelled(&declined(1)), send(EmailKind::Cancellation));
    check(&[], refunded(1), send(EmailKind::Refund));
    check(&[EmailKind::Confirmation], confirmed(1), ignored(NoOp::AlreadySent));
    check(&[EmailKind::Rejection], confirmed(1), send(EmailKind::Confirmation));
}

#[test]
fn a_mail_that_waits_is_not_begun_again_and_hides_no_other() {
    let waits = |kind| Mails { sent: Vec::new(), waiting: Some(kind) };
    let again = decide(&waits(EmailKind::Confirmation), &seen(confirmed(1)), AT);
    assert_eq!(again, Decision::Ignored(NoOp::AlreadyWaiting));
    let other = decide(&waits(EmailKind::Rejection), &seen(confirmed(1)), AT);
    assert_eq!(other, Decision::Impossible(Impossible::Settled(EmailKind::Rejection)));
}

/// The view may show an order at several versions, or leave some out, or come again.
#[test]
fn a_declined_order_is_never_confirmed_and_gets_one_mail() {
    let postbox = Postbox::default();
    let mut driver = Driver::new(EmailProcessor::new(postbox.clone()));
    driver.at(AT);
    let mut announced = Vec::new();
    for order in [validated(1), declined(1), cancelled(&declined(1)), declined(1)] {
        let record = driver.record(&ORDER_VIEWS, &order_id(1), &seen(order), "view");
        let fed = apply_twice(&mut driver, &record, &["emails"]);
        assert_eq!(fed.dead_letter, None);
        announced.extend(driver.sent_on(&EMAILS, &fed.sent));
    }
    let message_id = format!("<{}.cancellation@murmuration.shop>", order_id(1));
    assert_eq!(postbox.accepted(), [message_id.as_str()]);
    let announcement = EmailSent {
        order_id: order_id(1),
        kind: EmailKind::Cancellation,
        message_id,
        recipient: "ada@example.org".to_owned(),
        sent_kinds: vec![EmailKind::Cancellation],
        sent_at: AT,
    };
    assert_eq!(announced, [announcement]);
}

#[test]
fn what_the_view_does_not_announce_is_a_dead_letter_and_no_mail() {
    let postbox = Postbox::default();
    let mut driver = Driver::new(EmailProcessor::new(postbox.clone()));
    let good = seen(confirmed(1));
    for (update, cause) in [
        (ViewUpdated { view_version: 3, ..good.clone() }, "shows version 3, but announces 4"),
        (ViewUpdated { order_id: order_id(2), ..good.clone() }, "but it announces"),
        (ViewUpdated { order: confirmed(2), ..good.clone() }, "but its order is"),
        (seen(Order { version: 2, ..confirmed(1) }), "no order can reach confirmed"),
    ] {
        let fed = driver.feed(&ORDER_VIEWS, &order_id(1), &update, "view");
        let found = fed.dead_letter.expect("a dead letter");
        assert!(found.contains(cause), "{found}");
        assert!(fed.sent.is_empty());
    }
    let bytes = b"hello".to_vec();
    let record = driver.raw_record(&ORDER_VIEWS, &order_id(1), bytes, Headers::default());
    assert!(driver.feed_record(&record).dead_letter.unwrap().contains("wire format"));
    assert!(postbox.accepted().is_empty());
}
