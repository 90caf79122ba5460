//! The invariant of a stock level: what no table should be asked to show.

use contracts::inventory::StockLevel;

/// A level that does not add up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("available is {available} with {on_hand} on hand and {reserved} reserved")]
pub struct Unbalanced {
    /// Pieces in the house.
    pub on_hand: i64,
    /// Pieces held.
    pub reserved: i64,
    /// What is said to be left.
    pub available: i64,
}

/// The invariant of a stock level.
///
/// # Errors
/// When it does not hold.
pub fn check_stock(stock: &StockLevel) -> Result<(), Unbalanced> {
    let StockLevel { on_hand, reserved, available, .. } = *stock;
    let holds = reserved >= 0 && available >= 0 && on_hand.checked_sub(reserved) == Some(available);
    if holds { Ok(()) } else { Err(Unbalanced { on_hand, reserved, available }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::Timestamp;

    #[test]
    fn a_stock_level_keeps_its_invariant() {
        let level = |on_hand, reserved, available| StockLevel {
            sku: "TEA".parse().unwrap(),
            on_hand,
            reserved,
            available,
            committed: 0,
            version: 1,
            updated_at: Timestamp(0),
        };
        assert_eq!(check_stock(&level(5, 2, 3)), Ok(()));
        for broken in [level(5, 2, 4), level(5, 6, -1), level(5, -1, 6), level(i64::MIN, 1, 0)] {
            assert!(check_stock(&broken).is_err(), "{broken:?}");
        }
    }
}
