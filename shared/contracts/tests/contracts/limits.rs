//! The largest of everything that the limits allow fits into a record.

use contracts::{
    CommandId, Customer, EmailAddress, Money, Order, OrderId, OrderLine, Payment, PaymentStatus,
    Reason, Status, Timestamp, TransitionKind,
    avro::Message,
    catalog::{CatalogCustomer, Product},
    email::{EmailKind, EmailSent, EmailWaiting, Waiting},
    ids::NAME_LENGTH_MAX,
    limits::{
        CHECK_BYTES_MAX, CHECKS_MAX, CUSTOMER_NAME_BYTES_MAX, DESCRIPTION_BYTES_MAX,
        DETAIL_BYTES_MAX, EMAIL_BYTES_MAX, ORDER_BYTES_MAX, PICTURE_BYTES_MAX,
        PRODUCT_NAME_BYTES_MAX, REASONS_MAX, REFERENCE_BYTES_MAX,
    },
    order::LatestOrder,
    orders::{CommandRefused, LINES_MAX, NOTE_MAX, OrderValidation, Outcome, QUANTITY_MAX},
    values::PRICE_MINOR_MAX,
    view::ViewUpdated,
};
use streams::limits::{
    CAUSE_BYTES_MAX, HEADER_BYTES_MAX, HEADERS_MAX, KEY_BYTES_MAX, RECORD_BYTES_MAX,
    VALUE_BYTES_MAX,
};
use uuid::Uuid;

/// What encodes to most: characters of four bytes, numbers of ten.
fn text(max: usize) -> String {
    format!("{}{}", "\u{1f375}".repeat(max / 4), "x".repeat(max % 4))
}

fn id() -> String {
    "x".repeat(NAME_LENGTH_MAX)
}

fn money() -> Money {
    Money::new(i64::MAX, "EUR".parse().unwrap())
}

fn email() -> EmailAddress {
    let label = "x".repeat(63);
    let local = "x".repeat(EMAIL_BYTES_MAX - 3 * 64);
    let address = format!("{local}@{label}.{label}.{label}");
    assert_eq!(address.len(), EMAIL_BYTES_MAX);
    address.parse().unwrap()
}

fn reason() -> Reason {
    let (check, detail) = (text(CHECK_BYTES_MAX), text(DETAIL_BYTES_MAX));
    Reason::new(check.clone(), check, detail)
}

fn largest() -> Order {
    let line = |number: usize| OrderLine {
        sku: format!("{}{number:02}", &id()[2..]).parse().unwrap(),
        name: text(PRODUCT_NAME_BYTES_MAX).parse().unwrap(),
        quantity: QUANTITY_MAX,
        unit_price_minor: PRICE_MINOR_MAX.try_into().unwrap(),
    };
    let lines: Vec<_> = (0..LINES_MAX).map(line).collect();
    Order {
        order_id: OrderId(Uuid::max()),
        version: i64::MAX,
        transition: TransitionKind::OrderRequested,
        status: Status::Requested,
        customer: Customer {
            customer_id: id().parse().unwrap(),
            name: text(CUSTOMER_NAME_BYTES_MAX).parse().unwrap(),
            email: email(),
        },
        total: Money::new(lines.iter().map(OrderLine::total_minor).sum(), "EUR".parse().unwrap()),
        lines,
        required_checks: vec![text(CHECK_BYTES_MAX); CHECKS_MAX],
        reasons: vec![reason(); REASONS_MAX],
        payment: Some(Payment {
            status: PaymentStatus::Refunded,
            amount: money(),
            reference: Some(text(REFERENCE_BYTES_MAX)),
            decided_at: Timestamp(i64::MAX),
        }),
        placed_by: CommandId(Uuid::max()),
        note: text(4 * NOTE_MAX).try_into().unwrap(),
        requested_at: Timestamp(i64::MAX),
        deadline: Timestamp(i64::MAX),
        occurred_at: Timestamp(i64::MAX),
    }
}

fn encoded<V: Message>(value: &V) -> usize {
    let mut buffer = Vec::new();
    value.write(&mut buffer).unwrap();
    // The frame of the wire format.
    buffer.len() + 5
}

#[test]
fn the_largest_of_everything_fits_into_a_value() {
    let order = largest();
    let (order_id, view_version) = (order.order_id, i64::MAX);
    assert!(encoded(&order) <= order.bytes() && order.bytes() <= ORDER_BYTES_MAX);
    let announced = ViewUpdated {
        order_id,
        view_version,
        order: order.clone(),
        updated_at: Timestamp(i64::MAX),
    };
    assert!(encoded(&announced) - encoded(&order) < 200, "it adds little to the order");
    const { assert!(ORDER_BYTES_MAX + 200 <= VALUE_BYTES_MAX) };
    let product = Product {
        sku: id().parse().unwrap(),
        name: text(PRODUCT_NAME_BYTES_MAX).parse().unwrap(),
        description: text(DESCRIPTION_BYTES_MAX).parse().unwrap(),
        price_minor: PRICE_MINOR_MAX.try_into().unwrap(),
        currency: "EUR".parse().unwrap(),
        picture: text(PICTURE_BYTES_MAX).parse().unwrap(),
        active: true,
    };
    let customer = CatalogCustomer {
        customer_id: id().parse().unwrap(),
        name: text(CUSTOMER_NAME_BYTES_MAX).parse().unwrap(),
        email: email(),
        active: true,
    };
    let refused = CommandRefused {
        customer_id: None,
        command_id: CommandId(Uuid::max()),
        order_id,
        command: "PlaceOrder".into(),
        reasons: vec![reason(); 3 * LINES_MAX],
        order_version: Some(i64::MAX),
        refused_at: Timestamp(i64::MAX),
    };
    let outcome = OrderValidation {
        order_id,
        check: text(CHECK_BYTES_MAX),
        outcome: Outcome::Failed,
        code: text(CHECK_BYTES_MAX),
        detail: text(DETAIL_BYTES_MAX),
        decided_at: Timestamp(i64::MAX),
    };
    let sizes = [
        encoded(&LatestOrder(order)),
        encoded(&announced),
        encoded(&product),
        encoded(&customer),
        encoded(&refused),
        encoded(&outcome),
    ];
    assert!(sizes.iter().all(|size| *size <= VALUE_BYTES_MAX), "{sizes:?}");
}

/// Whatever a stranger puts on `orders`, what follows from it fits.
#[test]
fn a_larger_order_is_refused_whatever_is_large_in_it() {
    let first = || Order { version: 1, ..largest() };
    let key = first().order_id;
    assert_eq!(first().check_alone(key), Ok(()));
    let large = |change: &dyn Fn(&mut Order)| {
        let mut order = first();
        change(&mut order);
        order.check_alone(key).unwrap_err().to_string()
    };
    let name = || text(ORDER_BYTES_MAX);
    let refused = [
        large(&|order| order.reasons[0].detail = name()),
        large(&|order| order.required_checks.push(name())),
        large(&|order| order.lines = vec![order.lines[0].clone(); 10_000]),
    ];
    assert!(refused.iter().all(|cause| cause.contains("400000 bytes at most")), "{refused:?}");
}

#[test]
fn keys_fit_and_so_does_the_whole_record() {
    let longest = NAME_LENGTH_MAX + 1 + Uuid::max().to_string().len();
    assert!(longest <= KEY_BYTES_MAX);
    const { assert!(VALUE_BYTES_MAX + KEY_BYTES_MAX < RECORD_BYTES_MAX) };
    const { assert!(LINES_MAX <= CHECKS_MAX) };
}

#[test]
fn a_reason_is_cut_where_it_is_made() {
    let reason = Reason::new(text(9_000), text(9_000), text(9_000));
    let sizes = [reason.check.len(), reason.code.len(), reason.detail.len()];
    assert_eq!(sizes, [CHECK_BYTES_MAX, CHECK_BYTES_MAX, DETAIL_BYTES_MAX]);
}

#[test]
fn a_mail_record_fits() {
    let sent = EmailSent {
        order_id: OrderId(Uuid::max()),
        kind: EmailKind::Confirmation,
        message_id: text(200),
        recipient: text(ORDER_BYTES_MAX),
        sent_kinds: Vec::new(),
        sent_at: Timestamp(i64::MAX),
    };
    assert!(encoded(&sent) <= VALUE_BYTES_MAX);
    let header = |n: usize| (n.to_string(), text(HEADER_BYTES_MAX));
    let waiting = Waiting {
        kind: EmailKind::Confirmation,
        since: Timestamp(i64::MAX),
        next_at: Timestamp(i64::MAX),
        refusals: i32::MAX,
        doubts: i32::MAX,
        cause: text(CAUSE_BYTES_MAX),
        topic: "order-views".into(),
        offset: i64::MAX,
        headers: (0..HEADERS_MAX).map(header).collect(),
        announcement: text(ORDER_BYTES_MAX + 1_000).into_bytes(),
    };
    let waits = EmailWaiting { order_id: sent.order_id, waiting: Some(waiting) };
    assert!(encoded(&waits) <= VALUE_BYTES_MAX);
}
