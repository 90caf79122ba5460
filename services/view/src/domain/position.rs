//! [`Position`]: how far a reader has come in the log of orders.

use contracts::partition;
use std::{fmt, str::FromStr};

/// The offset of the last transition that a reader has seen, by partition. It is the id of an event
/// for those who follow all orders: any instance can go on from it, as no instance has made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(Vec<i64>);

/// Nothing has been seen of a partition.
const BEFORE_ALL: i64 = -1;

/// A text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `partition:offset` for each partition from 0 to {}, separated by commas, as in the \
     id of an event: 0:12,1:-1,2:7",
    partition::count() - 1
)]
pub struct NoPosition;

impl Default for Position {
    /// Before all transitions.
    fn default() -> Self {
        Self((0..partition::count()).map(|_| BEFORE_ALL).collect())
    }
}

impl Position {
    /// A reader has seen this transition, and all those before it on its partition. False if it had
    /// seen it already, or there is no such partition.
    pub fn advance(&mut self, partition: i32, offset: i64) -> bool {
        let seen = usize::try_from(partition).ok().and_then(|index| self.0.get_mut(index));
        match seen {
            Some(seen) if *seen < offset => {
                *seen = offset;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Whether a reader here has seen all that a reader at `other` has.
    pub fn includes(&self, other: &Position) -> bool {
        self.0.iter().zip(&other.0).all(|(seen, other)| seen >= other)
    }

    /// This position, where it is not beyond `end`.
    #[must_use]
    pub fn up_to(mut self, end: &Position) -> Self {
        self.0.iter_mut().zip(&end.0).for_each(|(seen, end)| *seen = (*seen).min(*end));
        self
    }

    /// The partitions, and for each the last offset that was seen; -1 if none was.
    pub fn seen(&self) -> (Vec<i32>, Vec<i64>) {
        ((0..partition::count()).collect(), self.0.clone())
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (partition, offset) in self.0.iter().enumerate() {
            let comma = if partition == 0 { "" } else { "," };
            write!(f, "{comma}{partition}:{offset}")?;
        }
        Ok(())
    }
}

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let mut position = Self::default();
        let mut parts = text.split(',');
        for (partition, seen) in position.0.iter_mut().enumerate() {
            let (name, offset) = parts.next().and_then(|p| p.split_once(':')).ok_or(NoPosition)?;
            *seen = offset.parse().map_err(|_| NoPosition)?;
            if name != partition.to_string() || *seen < BEFORE_ALL {
                return Err(NoPosition);
            }
        }
        if parts.next().is_some() { Err(NoPosition) } else { Ok(position) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Position {
        text.parse().unwrap()
    }

    #[test]
    fn a_position_is_read_back_as_it_was_written() {
        assert_eq!(Position::default().to_string(), "0:-1,1:-1,2:-1");
        for text in ["0:-1,1:-1,2:-1", "0:12,1:-1,2:9223372036854775807"] {
            assert_eq!(at(text).to_string(), text);
        }
        for broken in ["", "7", "0:1,1:1", "0:1,1:1,2:1,3:1", "1:1,0:1,2:1", "0:-2,1:0,2:0", "0:x"]
        {
            assert_eq!(broken.parse::<Position>(), Err(NoPosition), "{broken}");
        }
    }

    #[test]
    fn a_reader_sees_each_transition_once_and_partitions_go_on_by_themselves() {
        let mut reader = at("0:4,1:-1,2:7");
        assert!(reader.advance(0, 5) && reader.advance(1, 0));
        assert!(!reader.advance(0, 5) && !reader.advance(2, 6) && !reader.advance(3, 1));
        assert_eq!(reader, at("0:5,1:0,2:7"));
        assert!(reader.includes(&at("0:5,1:-1,2:7")) && !reader.includes(&at("0:0,1:1,2:0")));
    }

    #[test]
    fn a_position_of_another_log_ends_where_this_one_does() {
        assert_eq!(at("0:90,1:3,2:-1").up_to(&at("0:5,1:9,2:1")), at("0:5,1:3,2:-1"));
    }
}
