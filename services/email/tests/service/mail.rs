//! The words of the mails. A change of them shows here as a whole mail.

use crate::fixtures::{cancelled, confirmed, declined, refunded, rejected, requested};
use contracts::{
    Customer, Order,
    email::EmailKind,
    limits::{CUSTOMER_NAME_BYTES_MAX, PRODUCT_NAME_BYTES_MAX},
};
use email::domain::mail::compose;

const ID: &str = "00000000-0000-0000-0000-000000000001";

#[track_caller]
fn check(order: &Order, kind: EmailKind, subject: &str, text: &str) {
    let mail = compose(order, kind);
    assert_eq!(mail.subject, subject);
    assert_eq!(mail.text, text);
    assert_eq!(mail.message_id, format!("<{ID}.{}@murmuration.shop>", kind.as_str()));
    assert_eq!((&*mail.to_name, &*mail.to_address), ("Ada Lovelace", "ada@example.org"));
    assert_eq!(compose(order, kind), mail, "the same order gives the same mail");
}

#[test]
fn a_confirmation_says_what_was_bought_and_paid() {
    check(
        &confirmed(1),
        EmailKind::Confirmation,
        "Your order is confirmed",
        "Hello Ada Lovelace,

Thank you for your order. We have received your payment of 138.90 EUR, and everything you chose is \
         on its way to you:

  2 x Assam Tea          4.95 EUR each    9.90 EUR
  1 x The Last Teapot  129.00 EUR each  129.00 EUR
  Total                                 138.90 EUR

We hope that you enjoy it.

Your order number is 00000000-0000-0000-0000-000000000001.

Murmuration
",
    );
}

#[test]
fn a_rejection_names_the_product_that_is_missing() {
    check(
        &rejected(1),
        EmailKind::Rejection,
        "We cannot deliver your order",
        "Hello Ada Lovelace,

Thank you for your order. We are sorry that we cannot deliver it:

  2 x Assam Tea          4.95 EUR each    9.90 EUR
  1 x The Last Teapot  129.00 EUR each  129.00 EUR
  Total                                 138.90 EUR

The reason:
  - The Last Teapot: 1 wanted, 0 available

You have not been charged, and nothing is held for you. Order again at any time.

Your order number is 00000000-0000-0000-0000-000000000001.

Murmuration
",
    );
}

#[test]
fn a_cancellation_gives_every_reason_and_says_that_no_money_was_taken() {
    let mail = compose(&cancelled(&declined(1)), EmailKind::Cancellation);
    assert_eq!(mail.subject, "Your order was cancelled");
    let reasons = "The reason:\n  - the bank declined the payment\n  - cancelled\n";
    assert!(mail.text.contains(reasons), "{}", mail.text);
    assert!(mail.text.contains("You have not been charged"), "{}", mail.text);
}

#[test]
fn a_refund_says_how_much() {
    let mail = compose(&refunded(1), EmailKind::Refund);
    assert_eq!(mail.subject, "You have your money back");
    assert!(mail.text.contains("we have given you back 138.90 EUR"), "{}", mail.text);
}

#[test]
fn names_are_no_markup() {
    let mut order = requested(1);
    order.lines[0].name = "<b>Tea & \"Co\"</b>".parse().unwrap();
    let name = "<script>".parse().unwrap();
    order.customer = Customer { name, ..order.customer };
    let mail = compose(&order, EmailKind::Confirmation);
    assert!(mail.html.contains("2 x &lt;b&gt;Tea &amp; &quot;Co&quot;&lt;/b&gt;"), "{}", mail.html);
    assert!(!mail.html.contains("<script>"), "{}", mail.html);
    assert!(mail.text.contains("2 x <b>Tea & \"Co\"</b>"), "{}", mail.text);
}

/// A width of more than 16 bits makes `format!` panic.
#[test]
fn the_longest_names_make_a_mail() {
    let mut order = rejected(1);
    order.lines[0].name = "\u{1f375}".repeat(PRODUCT_NAME_BYTES_MAX / 4).parse().unwrap();
    order.customer.name = "a".repeat(CUSTOMER_NAME_BYTES_MAX).parse().unwrap();
    for kind in [EmailKind::Confirmation, EmailKind::Rejection] {
        let mail = compose(&order, kind);
        assert!(mail.text.contains("  2 x \u{1f375}"), "the line is there");
        assert_eq!(mail.to_name.len(), CUSTOMER_NAME_BYTES_MAX);
        let longest = mail.text.lines().map(str::len).max();
        assert!(longest < Some(PRODUCT_NAME_BYTES_MAX + 100), "{longest:?}");
    }
}
