//! What Kafka has refused to this process, counted for `/metrics`: access control says no where
//! nothing else goes wrong, and an operator should see that it did.

use crate::{Meters, meter::REFUSALS};
use std::sync::atomic::{AtomicU64, Ordering};

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The login: a broker does not know the user, or the password is another one.
    Login,
    /// TLS: no connection comes about, mostly as a certificate is signed by another authority.
    Tls,
    /// A right: the login is good, and no rule allows it to do this.
    Right,
}

static COUNTS: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

impl Refusal {
    const ALL: [Self; 3] = [Self::Login, Self::Tls, Self::Right];

    fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Tls => "tls",
            Self::Right => "right",
        }
    }

    /// It was heard once more.
    pub fn count(self) {
        COUNTS[self as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was heard.
    pub fn heard(self) -> u64 {
        COUNTS[self as usize].load(Ordering::Relaxed)
    }
}

/// Show the counts of this process.
pub fn show(meters: &Meters) {
    meters.observe(&REFUSALS, |tell| {
        for refusal in Refusal::ALL {
            // Exact far beyond any count: 2^53.
            #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53")]
            let heard = refusal.heard() as f64;
            tell(&[refusal.as_str()], heard);
        }
    });
}
