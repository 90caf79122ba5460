//! The limits of sizes: one table for the whole way of an order, from the catalog database to
//! the mail. Sizes of texts are in bytes of UTF-8.
//!
//! What is within the limits of one stage is within those of the next: a test makes the largest of
//! everything and compares it with what Kafka is given ([`streams::limits`]). The catalog database
//! has the same numbers as constraints; `deploy/native` compares them.

pub use streams::limits::clip;

/// Longest name of a product.
pub const PRODUCT_NAME_BYTES_MAX: usize = 400;
/// Longest description of a product.
pub const DESCRIPTION_BYTES_MAX: usize = 8_000;
/// Largest picture of a product: an emoji, or an inline SVG.
pub const PICTURE_BYTES_MAX: usize = 100_000;
/// Longest name of a customer.
pub const CUSTOMER_NAME_BYTES_MAX: usize = 400;
/// Longest mail address (RFC 5321, 4.5.3.1.3: a path of 256 with its brackets).
pub const EMAIL_BYTES_MAX: usize = 254;
/// Longest code of a currency (ISO 4217 has three letters).
pub const CURRENCY_BYTES_MAX: usize = 3;

/// Most checks that an order requires: one per line, and those of the settings.
pub const CHECKS_MAX: usize = 128;
/// Most reasons that an order gathers: a failed check each; deadline, customer and payment.
pub const REASONS_MAX: usize = CHECKS_MAX + 8;
/// Longest name of a check, and longest code of a reason.
pub const CHECK_BYTES_MAX: usize = 128;
/// Longest detail of a reason.
pub const DETAIL_BYTES_MAX: usize = 1024;
/// Longest id that the bank gives to a capture: 200 characters.
pub const REFERENCE_BYTES_MAX: usize = 800;

/// Largest order that is believed, as `Order::bytes` counts. The largest that the limits allow is
/// smaller, and what follows from it, an announcement of the view, fits into a value.
pub const ORDER_BYTES_MAX: usize = 400_000;
