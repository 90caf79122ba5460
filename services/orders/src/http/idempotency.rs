//! Ids of commands: fresh ones, or those that an `Idempotency-Key` always gives.

use axum::http::HeaderMap;
use contracts::{CommandId, CustomerId, OrderId};
use service_kit::Problem;
use uuid::{Uuid, uuid};

const HEADER: &str = "idempotency-key";

/// Longest key, in characters.
const KEY_LENGTH_MAX: usize = 255;

/// The namespace of the order ids that are derived from customers and their keys. It must never
/// change: a key that is used again after an upgrade must still give the same order.
const NAMESPACE: Uuid = uuid!("6d75726d-7572-5174-a96f-6e006f726465");

/// The ids of a PlaceOrder. A key belongs to its customer: two customers with one key have two
/// orders. The same key gives the same order, and with the same `body` the same command; without a
/// key every request is one of its own.
///
/// # Errors
/// A [`Problem`] that names the header.
pub(super) fn place_order(
    headers: &HeaderMap,
    customer_id: &CustomerId,
    body: &[u8],
) -> Result<(OrderId, CommandId), Problem> {
    let order_id = match key(headers)? {
        // No customer id holds a slash, so no other customer and key give this name.
        Some(key) => OrderId(Uuid::new_v5(&NAMESPACE, format!("{customer_id}/{key}").as_bytes())),
        None => return Ok((OrderId(Uuid::now_v7()), CommandId(Uuid::now_v7()))),
    };
    Ok((order_id, CommandId(order_id.derive(body))))
}

/// The id of a CancelOrder. A customer's key is that customer's: to another one, who has no such
/// order, it names another command.
///
/// # Errors
/// A [`Problem`] that names the header.
pub(super) fn cancel_order(
    headers: &HeaderMap,
    order_id: OrderId,
    customer_id: Option<&CustomerId>,
) -> Result<CommandId, Problem> {
    let id = match (key(headers)?, customer_id) {
        (Some(key), None) => order_id.derive(format!("cancellation/{key}").as_bytes()),
        // No key holds a blank, so no other caller has this name.
        (Some(key), Some(customer)) => {
            order_id.derive(format!("cancellation by {customer}/{key}").as_bytes())
        }
        (None, _) => Uuid::now_v7(),
    };
    Ok(CommandId(id))
}

/// Whether the request has a key.
pub(super) fn is_keyed(headers: &HeaderMap) -> bool {
    headers.contains_key(HEADER)
}

fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let (Some(value), more) = (values.next(), values.next()) else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if more.is_none() && visible && (1..=KEY_LENGTH_MAX).contains(&key.len()) {
        return Ok(Some(key));
    }
    let detail = format!("send it once, with 1 to {KEY_LENGTH_MAX} visible ASCII characters");
    Err(Problem::invalid("the idempotency key is not valid").field(
        "Idempotency-Key",
        "invalid",
        detail,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, key.parse().unwrap());
        headers
    }

    fn place(headers: &HeaderMap, customer: &str, body: &[u8]) -> (OrderId, CommandId) {
        place_order(headers, &customer.parse().unwrap(), body).unwrap()
    }

    #[test]
    fn a_key_names_the_order_and_key_and_body_name_the_command() {
        let first = place(&with("k"), "ada", b"tea");
        assert_eq!(first, place(&with("k"), "ada", b"tea"));
        let other_body = place(&with("k"), "ada", b"mug");
        assert_eq!(first.0, other_body.0);
        assert_ne!(first.1, other_body.1);
        assert_ne!(first.0, place(&with("K"), "ada", b"tea").0);
        assert_ne!(first.1, cancel_order(&with("k"), first.0, None).unwrap());
    }

    #[test]
    fn a_key_belongs_to_its_customer() {
        let (ada, grace) = (place(&with("1"), "ada", b"tea"), place(&with("1"), "grace", b"tea"));
        assert!(ada.0 != grace.0 && ada.1 != grace.1);
        assert_ne!(place(&with("b/1"), "a", b"").0, place(&with("1"), "a.b", b"").0);
    }

    #[test]
    fn a_key_gives_the_same_order_for_ever() {
        let (order_id, _) = place(&with("k"), "ada", b"tea");
        assert_eq!(order_id.to_string(), "daa471e7-e9f4-5fd7-bc57-aba657105f18");
    }

    #[test]
    fn without_a_key_every_request_is_its_own() {
        let none = HeaderMap::new();
        let (first, second) = (place(&none, "ada", b""), place(&none, "ada", b""));
        assert!(first.0 != second.0 && first.1 != second.1);
    }

    #[test]
    fn a_key_that_is_none_is_named() {
        let mut twice = with("a");
        twice.append(HEADER, "b".parse().unwrap());
        for headers in [with(""), with("two words"), with("ä"), with(&"x".repeat(256)), twice] {
            let problem = place_order(&headers, &"ada".parse().unwrap(), b"").unwrap_err();
            assert_eq!(problem.errors()[0].field, "Idempotency-Key", "{headers:?}");
        }
        place(&with(&"x".repeat(255)), "ada", b"");
    }
}
