//! [`Caller`]: who calls, as a handler sees it.

use axum::{extract::FromRequestParts, http::request::Parts};
use tokens::{Identity, Role};

use crate::Problem;

/// Who calls. A handler of an `Owner` route takes it, and shows a customer what is that customer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// No caller is asked for a token.
    Open,
    /// On a route for all.
    Anonymous,
    Known(Identity),
}

impl Caller {
    /// One of the open profile, who may do all.
    pub fn open() -> Self {
        Self(Kind::Open)
    }

    /// One whose token holds.
    pub fn known(identity: Identity) -> Self {
        Self(Kind::Known(identity))
    }

    pub(super) fn anonymous() -> Self {
        Self(Kind::Anonymous)
    }

    /// Whether what belongs to this customer may be shown to the caller.
    pub fn may_see(&self, customer: &str) -> bool {
        match &self.0 {
            Kind::Open => true,
            Kind::Anonymous => false,
            Kind::Known(identity) => match identity.role() {
                Role::Staff => true,
                Role::Customer => identity.subject() == customer,
            },
        }
    }

    /// Whether the caller may see what belongs to any customer.
    pub fn sees_all(&self) -> bool {
        match &self.0 {
            Kind::Open => true,
            Kind::Anonymous => false,
            Kind::Known(identity) => identity.role() == Role::Staff,
        }
    }

    /// The customer who calls, if it is one with a token.
    pub fn customer(&self) -> Option<&str> {
        let identity = self.identity().filter(|identity| identity.role() == Role::Customer);
        identity.map(Identity::subject)
    }

    /// Who it is, if they have shown it.
    pub fn identity(&self) -> Option<&Identity> {
        match &self.0 {
            Kind::Known(identity) => Some(identity),
            Kind::Open | Kind::Anonymous => None,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    /// Fails outside of [`Routes`](super::Routes), where no caller was asked.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::internal(&anyhow::anyhow!("the route is not guarded")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(identity: &str) -> Caller {
        Caller::known(identity.parse().unwrap())
    }

    #[test]
    fn a_customer_sees_what_is_theirs_and_staff_sees_all() {
        let (ada, staff) = (known("customer:ada"), known("staff:ada"));
        assert!(ada.may_see("ada") && !ada.may_see("grace") && !ada.may_see("") && !ada.sees_all());
        assert!(staff.may_see("grace") && staff.sees_all() && staff.customer().is_none());
        assert!(Caller::open().may_see("grace") && Caller::open().sees_all());
        assert!(!Caller::anonymous().may_see("grace") && !Caller::anonymous().sees_all());
        assert_eq!(ada.customer(), Some("ada"));
    }
}
