//! [`Identity`]: who a caller is, in one short line that can stand in a header: `customer:ada`.

use std::{fmt, str::FromStr};

/// Longest subject, in bytes.
pub const SUBJECT_BYTES_MAX: usize = 128;

/// What a caller may do at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sees, places and cancels their own orders. The subject is the customer's id.
    Customer,
    /// Runs the shop.
    Staff,
}

impl Role {
    /// Its name, as the claim and the header have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Staff => "staff",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who a caller is. Its text is the role, a colon and the subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    role: Role,
    subject: String,
}

/// Why a text is no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentity {
    /// The role is missing or none of ours.
    #[error("an identity is a role and a subject, such as customer:ada or staff:ops")]
    Role,
    /// The subject is empty, too long or not visible ASCII.
    #[error("a subject is 1 to {SUBJECT_BYTES_MAX} visible ASCII characters")]
    Subject,
}

impl Identity {
    /// A caller with this role.
    ///
    /// # Errors
    /// When the subject is not 1 to [`SUBJECT_BYTES_MAX`] visible ASCII characters.
    pub fn new(role: Role, subject: impl Into<String>) -> Result<Self, InvalidIdentity> {
        let subject = subject.into();
        let is_visible = subject.bytes().all(|byte| byte.is_ascii_graphic());
        match is_visible && (1..=SUBJECT_BYTES_MAX).contains(&subject.len()) {
            true => Ok(Self { role, subject }),
            false => Err(InvalidIdentity::Subject),
        }
    }

    /// What they may do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Who they are to the issuer; of a customer, the customer's id.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.role, self.subject)
    }
}

impl FromStr for Identity {
    type Err = InvalidIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        let (role, subject) = text.split_once(':').ok_or(InvalidIdentity::Role)?;
        let role = [Role::Customer, Role::Staff].into_iter().find(|known| known.as_str() == role);
        Self::new(role.ok_or(InvalidIdentity::Role)?, subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        for text in ["customer:ada", "staff:ops@shop.example", "customer:a:b"] {
            assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_none() {
        let long = format!("customer:{}", "a".repeat(SUBJECT_BYTES_MAX + 1));
        for text in ["", "ada", "admin:ada", "customer:", "customer:a b", "customer:ä", &long] {
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
    }
}
