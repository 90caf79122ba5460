//! Double-entry bookkeeping: the entries of each decision. A booking always sums up to zero.

use super::payment::{AtBank, Decision, State};

/// An account of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// Money that the bank holds for the shop.
    Bank,
    /// What customers have paid for.
    Sales,
}

impl Account {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Account::Bank => "bank",
            Account::Sales => "sales",
        }
    }
}

/// A movement of the whole amount of an order. Each kind happens at most once per order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Booking {
    /// The bank has taken the money.
    Capture,
    /// The bank has given the money back to the customer.
    Refund,
    /// The bank has undone a capture that came too late.
    Void,
}

impl Booking {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Booking::Capture => "capture",
            Booking::Refund => "refund",
            Booking::Void => "void",
        }
    }

    /// The entries for `amount_minor`: a debit is positive, a credit negative.
    pub fn entries(self, amount_minor: i64) -> [(Account, i64); 2] {
        let debit = match self {
            Booking::Capture => amount_minor,
            Booking::Refund | Booking::Void => -amount_minor,
        };
        [(Account::Bank, debit), (Account::Sales, -debit)]
    }
}

/// What `decision` books. A void books something only if the capture that it undoes was known.
pub fn booking(state: &State, decision: &Decision) -> Option<Booking> {
    match decision {
        Decision::Capture { .. }
        | Decision::Decline { at_bank: AtBank::Captured { .. }, .. }
        | Decision::VoidLate { .. } => Some(Booking::Capture),
        Decision::Refund { .. } => Some(Booking::Refund),
        Decision::Voided => {
            state.as_ref().and_then(|payment| payment.reference.as_ref()).map(|_| Booking::Void)
        }
        Decision::Decline { at_bank: AtBank::Nothing | AtBank::Unknown, .. }
        | Decision::Intend(_)
        | Decision::OweRefund(_)
        | Decision::Retry(_)
        | Decision::Ignored(_)
        | Decision::Impossible(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_booking_sums_up_to_zero_and_is_undone_by_its_reverse() {
        for booking in [Booking::Capture, Booking::Refund, Booking::Void] {
            assert_eq!(booking.entries(1300).iter().map(|(_, minor)| minor).sum::<i64>(), 0);
        }
        let [(bank, captured), _] = Booking::Capture.entries(1300);
        for reverse in [Booking::Refund, Booking::Void] {
            assert_eq!(reverse.entries(1300)[0], (bank, -captured));
        }
    }
}
