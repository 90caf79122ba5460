//! Typed ids: an [`OrderId`] cannot be passed where a [`CommandId`] is meant.

use crate::text::text_type;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Longest customer id or sku, in bytes.
pub const NAME_LENGTH_MAX: usize = 64;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Not a UUID.
    #[error("`{0}` is not a UUID")]
    NotUuid(String),
    /// Empty or longer than [`NAME_LENGTH_MAX`].
    #[error("an id has 1 to {NAME_LENGTH_MAX} characters, this one has {0}")]
    Length(usize),
    /// Holds a character that is neither a letter, a digit, `-`, `_` nor `.`.
    #[error("`{0}` may not stand in an id; letters, digits, `-`, `_` and `.` may")]
    Character(char),
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The id that `name` always gives under `self`: UUID version 5 (RFC 9562).
            pub fn derive(self, name: &[u8]) -> Uuid {
                Uuid::new_v5(&self.0, name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId::NotUuid(text.into()))
            }
        }
    };
}

fn check_name(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() || text.len() > NAME_LENGTH_MAX {
        return Err(InvalidId::Length(text.chars().count()));
    }
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match text.chars().find(|c| !allowed(c)) {
        Some(c) => Err(InvalidId::Character(c)),
        None => Ok(()),
    }
}

uuid_id! {
    /// An order, from the command that asks for it to its last event.
    OrderId
}
uuid_id! {
    /// One command. A command that is sent again keeps its id, so that it counts once.
    CommandId
}
text_type! {
    /// A customer of the catalog database, such as `ada`.
    CustomerId, InvalidId, check_name
}
text_type! {
    /// A product of the catalog database (stock keeping unit), such as `TEA`.
    Sku, InvalidId, check_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_what_is_wrong_with_a_text() {
        assert_eq!("TEA".parse::<Sku>().map(|sku| sku.to_string()), Ok("TEA".into()));
        assert_eq!("".parse::<Sku>(), Err(InvalidId::Length(0)));
        assert_eq!("A/B".parse::<Sku>(), Err(InvalidId::Character('/')));
        assert_eq!("x".repeat(65).parse::<CustomerId>(), Err(InvalidId::Length(65)));
        assert_eq!("7".parse::<OrderId>(), Err(InvalidId::NotUuid("7".into())));
    }
}
