//! What a value of the shop may be: one definition, for every service. A row of the catalog and an
//! event are read into these types; what is none of them is refused where it comes in.

use crate::{
    limits::{EMAIL_BYTES_MAX, PICTURE_BYTES_MAX, PRODUCT_NAME_BYTES_MAX},
    text::text_type,
};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::{fmt, ops::Deref, str::FromStr};

/// What Debezium writes in the place of a large value that an update has left alone, as PostgreSQL
/// does not log it (its setting `unavailable.value.placeholder`). It is never a value: no text
/// of this module takes it.
pub const UNAVAILABLE: &str = "__debezium_unavailable_value";

/// Highest [`Price`], in minor units. The total of the largest order is far below 2^53, so that it
/// is exact in JSON as well (RFC 8259, 6).
pub const PRICE_MINOR_MAX: i64 = 1_000_000_000;

/// Why a value is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// Too short or too long.
    #[error("has {bytes} bytes, not {min} to {max}")]
    Length {
        /// How long it is.
        bytes: usize,
        /// How long it must be.
        min: usize,
        /// How long it may be.
        max: usize,
    },
    /// PostgreSQL keeps no NUL, and a header or a line of a mail no other control character.
    #[error("holds the control character {0:?}")]
    Control(char),
    /// Nothing that could be read.
    #[error("is blank")]
    Blank,
    /// Change data capture did not know the value: see [`UNAVAILABLE`].
    #[error("is {UNAVAILABLE}: the value was not captured; give the table REPLICA IDENTITY FULL")]
    Unavailable,
    /// Not of the form `local@domain`.
    #[error("is {0:?}, which is no mail address")]
    NoAddress(String),
    /// Not three capital letters.
    #[error("is {0:?}, not three capital letters as in ISO 4217")]
    NoCurrency(String),
    /// Not 1 to [`PRICE_MINOR_MAX`].
    #[error("is {0}, not 1 to {PRICE_MINOR_MAX} minor units")]
    NoPrice(i64),
}

/// A value out of bounds, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct InvalidField {
    /// Name of the column, or path of the field.
    pub field: String,
    /// What is wrong with it.
    pub why: InvalidValue,
}

impl InvalidValue {
    /// The same, with where it stands.
    pub(crate) fn of(self, field: &str) -> InvalidField {
        InvalidField { field: field.into(), why: self }
    }
}

/// The value of the column or field `field`.
pub(crate) fn field<V, T>(field: &str, value: V) -> Result<T, InvalidField>
where
    T: TryFrom<V, Error = InvalidValue>,
{
    T::try_from(value).map_err(|why| why.of(field))
}

/// Checks each `(field, text, (min, max))` as [`check_text`] does.
pub(crate) fn check_fields(fields: &[(&str, &str, (usize, usize))]) -> Result<(), InvalidField> {
    let check = |(field, text, bounds): &(&str, &str, _)| {
        check_text(text, *bounds, &[]).map_err(|why| why.of(field))
    };
    fields.iter().try_for_each(check)
}

/// `text`, if it has `min` to `max` bytes and no control character that is not `allowed`.
pub(crate) fn check_text(
    text: &str,
    (min, max): (usize, usize),
    allowed: &[char],
) -> Result<(), InvalidValue> {
    let bytes = text.len();
    if !(min..=max).contains(&bytes) {
        return Err(InvalidValue::Length { bytes, min, max });
    }
    match text.chars().find(|c| c.is_control() && !allowed.contains(c)) {
        Some(c) => Err(InvalidValue::Control(c)),
        None if text == UNAVAILABLE => Err(InvalidValue::Unavailable),
        None => Ok(()),
    }
}

/// The type for a text that `$check` lets through, which reads as a `&str`.
macro_rules! text_value {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        text_type! { $(#[$doc])* $name, InvalidValue, $check }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                self.as_str()
            }
        }
    };
}

text_value! {
    /// What a product or a customer is called: one line of 1 to [`PRODUCT_NAME_BYTES_MAX`] bytes.
    Name, check_name
}
text_value! {
    /// Where mails go: at most [`EMAIL_BYTES_MAX`] bytes, `local@domain` as RFC 5321, 4.1.2, and
    /// beyond ASCII RFC 6531 have it, with quoted local parts and address literals.
    EmailAddress, check_address
}
text_value! {
    /// A description or a picture: up to [`PICTURE_BYTES_MAX`] bytes, with line breaks and tabs.
    Prose, |text: &str| check_prose(text, PICTURE_BYTES_MAX)
}

fn check_name(text: &str) -> Result<(), InvalidValue> {
    check_text(text, (1, PRODUCT_NAME_BYTES_MAX), &[])?;
    if text.trim().is_empty() { Err(InvalidValue::Blank) } else { Ok(()) }
}

/// Prose of `max` bytes at most.
pub(crate) fn check_prose(text: &str, max: usize) -> Result<(), InvalidValue> {
    check_text(text, (0, max), &['\n', '\r', '\t'])
}

fn check_address(text: &str) -> Result<(), InvalidValue> {
    check_text(text, (3, EMAIL_BYTES_MAX), &[])?;
    let options = email_address::Options::default()
        .with_no_minimum_sub_domains()
        .with_domain_literal()
        .without_display_text();
    match email_address::EmailAddress::parse_with_options(text, options) {
        Ok(_) => Ok(()),
        Err(_) => Err(InvalidValue::NoAddress(text.to_owned())),
    }
}

/// A currency: three capital letters (ISO 4217).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "SmolStr", into = "SmolStr")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");

    /// The code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("capital letters are UTF-8")
    }
}

impl FromStr for Currency {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ if text == UNAVAILABLE => Err(InvalidValue::Unavailable),
            _ => Err(InvalidValue::NoCurrency(text.chars().take(16).collect())),
        }
    }
}

impl TryFrom<SmolStr> for Currency {
    type Error = InvalidValue;

    fn try_from(text: SmolStr) -> Result<Self, InvalidValue> {
        text.parse()
    }
}

impl TryFrom<String> for Currency {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        text.parse()
    }
}

impl From<Currency> for SmolStr {
    fn from(currency: Currency) -> SmolStr {
        SmolStr::new(currency.as_str())
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// The price of one piece: 1 to [`PRICE_MINOR_MAX`] minor units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Price(i64);

impl Price {
    /// In minor units.
    pub fn minor(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Price {
    type Error = InvalidValue;

    fn try_from(minor: i64) -> Result<Self, InvalidValue> {
        if (1..=PRICE_MINOR_MAX).contains(&minor) {
            Ok(Self(minor))
        } else {
            Err(InvalidValue::NoPrice(minor))
        }
    }
}

impl From<Price> for i64 {
    fn from(price: Price) -> i64 {
        price.0
    }
}

impl fmt::Debug for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr<Err = InvalidValue>>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(text.parse::<T>().is_ok(), "{text:?}");
        }
        for text in bad {
            assert!(text.parse::<T>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_name_is_one_line() {
        let (long, longer) = ("x".repeat(400), "x".repeat(401));
        let bad = ["", " ", "\u{a0}", "a\nb", "a\0b", "\u{7f}", "\u{85}", UNAVAILABLE, &longer];
        check::<Name>(&["Tea", "Grüße 🍵", " a ", &long], &bad);
    }

    #[test]
    fn prose_has_line_breaks() {
        let (long, longer) = ("x".repeat(PICTURE_BYTES_MAX), "x".repeat(PICTURE_BYTES_MAX + 1));
        check::<Prose>(&["", "a\r\n\tb", &long], &["a\0b", "\u{1b}[0m", UNAVAILABLE, &longer]);
    }

    #[test]
    fn an_address_can_be_mailed_to() {
        let local = format!("{}@x.org", "l".repeat(64));
        let good = [
            "ada@example.org",
            "a.b+c@x",
            "ünsal@bücher.de",
            "o'hara@x-y.org",
            &local,
            "\"a b\"@x",
            "a@[127.0.0.1]",
        ];
        let (no_local, label) = (format!("l{local}"), format!("a@{}", "d".repeat(64)));
        let long = format!("a@{}", vec!["d".repeat(60); 4].join(".") + ".example.org");
        let bad = [
            "", "ada", "@x", "ada@", "a@b@c", "a b@x", "a@x y", "a@x\n", "a\0@x", ".a@x", "a..b@x",
            "a@.x", "a@x.", "a@-x", "<a@x>", &no_local, &label, &long,
        ];
        check::<EmailAddress>(&good, &bad);
    }

    #[test]
    fn a_currency_has_three_capitals_and_a_price_is_positive() {
        check::<Currency>(
            &["EUR", "USD"],
            &["eur", "EURO", "EU", "", "E\0R", "€", "ÄÖ", UNAVAILABLE],
        );
        for minor in [1, PRICE_MINOR_MAX] {
            assert_eq!(Price::try_from(minor).map(Price::minor), Ok(minor));
        }
        for minor in [0, -1, i64::MIN, i64::MAX, PRICE_MINOR_MAX + 1] {
            assert_eq!(Price::try_from(minor), Err(InvalidValue::NoPrice(minor)));
        }
    }
}
