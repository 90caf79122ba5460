//! What cannot be a value cannot be read, and the error names the column.

use contracts::{
    Order, Reason, Timestamp,
    avro::Message,
    catalog::{CatalogCustomer, Product},
    orders::OrderValidation,
};
use serde_json::{Value, json};

/// The row of a product with `value` in `column`.
fn product(column: &str, value: Value) -> Result<Product, String> {
    let mut row = json!({
        "sku": "TEA", "name": "Tea", "description": "A tea.\nA good one.", "price_minor": 890,
        "currency": "EUR", "picture": "🍵", "active": true,
    });
    row[column] = value;
    serde_json::from_value(row).map_err(|error| error.to_string())
}

#[test]
fn a_row_with_a_value_out_of_bounds_is_no_product_and_names_its_column() {
    assert!(product("name", json!("Grüner Tee")).is_ok());
    assert!(product("picture", json!("<svg/>".repeat(1_500))).is_ok());
    let unavailable = "__debezium_unavailable_value";
    for (column, value) in [
        ("sku", json!("A/B")),
        ("name", json!("")),
        ("name", json!("T\0a")),
        ("name", json!("Tea\n")),
        ("name", json!("x".repeat(401))),
        ("name", json!(unavailable)),
        ("description", json!("\0")),
        ("description", json!(unavailable)),
        ("picture", json!("x".repeat(100_001))),
        ("picture", json!(unavailable)),
        ("description", json!("x".repeat(8_001))),
        ("price_minor", json!(0)),
        ("price_minor", json!(-1)),
        ("price_minor", json!(i64::MAX)),
        ("currency", json!("eur")),
        ("currency", json!("")),
        ("currency", json!("EURO")),
    ] {
        let told = product(column, value.clone()).expect_err(&format!("{column}: {value}"));
        assert!(column == "sku" || told.starts_with(column), "{column}: {told}");
    }
}

#[test]
fn a_row_without_an_address_is_no_customer() {
    let customer = |name: &str, email: &str| {
        let row = json!({"customer_id": "ada", "name": name, "email": email, "active": true});
        serde_json::from_value::<CatalogCustomer>(row).map_err(|error| error.to_string())
    };
    assert!(customer("Ada", "ada@example.org").is_ok());
    assert!(customer("", "ada@example.org").unwrap_err().starts_with("name has 0 bytes"));
    let told = customer("Ada", "ada").unwrap_err();
    assert!(told.starts_with("email is \"ada\", which is no mail address"), "{told}");
}

/// What a codec says of the bytes of a record.
#[test]
fn the_cause_of_a_dead_letter_names_column_and_value() {
    let product = product("currency", json!("EUR")).unwrap();
    let mut datum = Vec::new();
    product.write(&mut datum).unwrap();
    let at = datum.windows(3).position(|window| window == b"EUR").unwrap();
    datum[at..at + 3].copy_from_slice(b"eur");
    let told = Product::read(Product::SCHEMA, &datum).unwrap_err().to_string();
    assert!(told.contains("currency is \"eur\", not three capital letters"), "{told}");
}

#[test]
fn a_reason_can_be_read_whatever_it_was_made_of() {
    let long = "ä\0".repeat(40_000);
    for (check, code, detail) in [("", "", ""), ("a\nb", "\0", "\u{1b}[31m"), (&long, &long, &long)]
    {
        let reason = Reason::new(check, code, detail);
        let text = serde_json::to_string(&reason).unwrap();
        assert_eq!(serde_json::from_str::<Reason>(&text).unwrap(), reason);
    }
    let ugly = json!({"check": "fraud", "code": "x", "detail": "a\0b"});
    let told = serde_json::from_value::<Reason>(ugly).unwrap_err().to_string();
    assert!(told.starts_with("reason.detail holds the control character"), "{told}");
}

#[test]
fn an_outcome_that_no_order_could_carry_as_a_reason_cannot_be_read() {
    let outcome = |field: &str, text: &str| {
        let mut outcome = json!({
            "order_id": "0192d3a0-7b1c-7e2a-9c3d-5f0a1b2c3d4e", "check": "fraud",
            "outcome": "Failed", "code": "limit", "detail": "", "decided_at": 1,
        });
        outcome[field] = json!(text);
        serde_json::from_value::<OrderValidation>(outcome).map_err(|error| error.to_string())
    };
    assert!(outcome("detail", "too much open value").is_ok());
    let (long, longer) = ("x".repeat(129), "x".repeat(1025));
    for (field, text) in [
        ("check", ""),
        ("check", &long),
        ("code", ""),
        ("code", "a\nb"),
        ("code", &long),
        ("detail", "a\0b"),
        ("detail", &longer),
    ] {
        let told = outcome(field, text).expect_err(field);
        assert!(told.starts_with(field), "{field}: {told}");
    }
}

fn check(when: impl FnOnce(&mut Order), then: Result<(), &str>) {
    let lines = [("TEA", "Tea", 2, 890), ("MUG", "Mug", 1, 1450)];
    let mut order = testkit::orders::order(1, &lines, Timestamp(0));
    when(&mut order);
    let checked = order.check_alone(order.order_id).map_err(|error| error.to_string());
    assert_eq!(checked, then.map_err(str::to_owned));
}

#[test]
fn an_order_out_of_bounds_names_its_field() {
    check(|_| {}, Ok(()));
    check(|order| order.lines.clear(), Err("lines has 0 entries, not 1 to 50"));
    check(|order| order.lines[1].quantity = 0, Err("lines[1].quantity is 0, not 1 to 1000"));
    check(|order| order.lines[1].sku = order.lines[0].sku.clone(), Err("lines[1].sku repeats TEA"));
    let sum = "total is 0.01 EUR, which is not the sum of its lines";
    check(|order| order.total.amount_minor = 1, Err(sum));
    let control = "required_checks[0] holds the control character '\\0'";
    check(|order| order.required_checks[0] = "a\0b".into(), Err(control));
    let many = "required_checks has 129 entries, more than 128";
    check(|order| order.required_checks = vec!["x".into(); 129], Err(many));
}
