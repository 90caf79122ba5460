//! The note of an order: what is one, and records from before there were any.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use apache_avro::Schema;
use contracts::{
    Order, Timestamp,
    avro::Message,
    orders::{InvalidNote, Note, PlaceOrder},
    view::ViewUpdated,
};
use std::fmt::Debug;

fn note(text: &str) -> Result<Note, InvalidNote> {
    text.to_owned().try_into()
}

fn order() -> Order {
    testkit::orders::order(1, &[("TEA", "Tea", 2, 450)], Timestamp(7))
}

fn place() -> PlaceOrder {
    let (order_id, command_id) = (order().order_id, order().placed_by);
    PlaceOrder::new(command_id, order_id, "ada".parse().unwrap(), Vec::new(), Timestamp(7))
}

#[test]
fn a_note_is_up_to_500_characters_of_text() {
    for good in ["", "ring twice", "a\nb\tc", "\u{1f375}", &"ä".repeat(500)] {
        assert_eq!(note(good).map(String::from), Ok(good.to_owned()));
    }
    assert_eq!(note(&"ä".repeat(501)), Err(InvalidNote::Length(501)));
    for (bad, character, position) in
        [("\0", '\0', 1), ("a\r\n", '\r', 2), ("ä\u{7f}", '\u{7f}', 2), ("\u{85}", '\u{85}', 1)]
    {
        assert_eq!(note(bad), Err(InvalidNote::Control { character, position }));
    }
}

/// `message` with a note survives the wire; without it, it is what `old`, a schema that has none,
/// reads and writes as well.
fn check<M: Message + PartialEq + Debug>(noted: M, bare: M, old: &str) {
    let mut datum = Vec::new();
    noted.write(&mut datum).unwrap();
    assert_eq!(M::read(noted.schema(), &datum).unwrap(), noted);

    let old = Schema::parse_str(old).unwrap();
    datum.clear();
    bare.write(&mut datum).unwrap();
    // The note is the last field of an order, and an empty text is one byte.
    assert_eq!(datum.pop(), Some(0));
    let resolved = bare.schema().resolve(&old, &datum).unwrap();
    assert_eq!(M::read(bare.schema(), &resolved).unwrap(), bare);
}

/// The schema `name` as it was before there were notes.
fn without_note(schema: &str) -> String {
    let (head, field) = schema.rsplit_once("\"name\": \"note\"").unwrap();
    let head = head.trim_end().strip_suffix('{').unwrap().trim_end().strip_suffix(',').unwrap();
    let (_, tail) = field.split_once('}').unwrap();
    format!("{head}{tail}")
}

#[test]
fn records_from_before_there_were_notes_have_an_empty_one() {
    let told = note("ring twice").unwrap();
    let noted = Order { note: told.clone(), ..order() };
    check(noted, order(), &without_note(include_str!("../../../schemas/orders/Order.avsc")));
    let noted = PlaceOrder { note: told, ..place() };
    check(noted, place(), &without_note(include_str!("../../../schemas/orders/PlaceOrder.avsc")));
}

#[test]
fn an_announcement_carries_the_note() {
    let order = Order { note: note("ring twice").unwrap(), ..order() };
    let order_id = order.order_id;
    let update = ViewUpdated { order_id, view_version: 1, order, updated_at: Timestamp(9) };
    let mut datum = Vec::new();
    update.write(&mut datum).unwrap();
    assert_eq!(ViewUpdated::read(ViewUpdated::SCHEMA, &datum).unwrap(), update);
}

#[test]
fn a_record_with_what_is_no_note_is_no_record() {
    let mut datum = Vec::new();
    PlaceOrder { note: note("ring twice").unwrap(), ..place() }.write(&mut datum).unwrap();
    let at = datum.windows(10).position(|bytes| bytes == b"ring twice").unwrap();
    datum[at] = b'\r';
    let error = PlaceOrder::read(PlaceOrder::SCHEMA, &datum).unwrap_err();
    assert!(error.to_string().contains("control character"), "{error}");
}

#[test]
fn an_order_that_was_kept_as_json_before_there_were_notes_can_be_read() {
    let mut kept = serde_json::to_value(order()).unwrap();
    assert!(kept.as_object_mut().unwrap().remove("note").is_some());
    assert_eq!(serde_json::from_value::<Order>(kept).unwrap(), order());
}
