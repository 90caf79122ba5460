//! How many partitions there are, and Kafka's default partitioner: which of them has a key.

use std::{
    ops::RangeInclusive,
    sync::atomic::{AtomicI32, Ordering},
};

/// The setting, as a variable: how many partitions have the topics that share a key
/// ([`PartitionCount::Setting`](crate::topic::PartitionCount)).
pub const SETTING: &str = "PARTITIONS";

/// Its value unless another one is given.
pub const DEFAULT: i32 = 3;

/// What it may be. With fewer than three a test of rebalances shows nothing; with more, each
/// transaction writes its markers into more partitions than one broker should bear.
pub const BOUNDS: RangeInclusive<i32> = 3..=48;

static COUNT: AtomicI32 = AtomicI32::new(DEFAULT);

/// How many partitions this process takes the topics that share a key to have.
pub fn count() -> i32 {
    COUNT.load(Ordering::Relaxed)
}

/// From now on it is `count`, one of [`BOUNDS`]. To be called before the first topic is used:
/// another number is another place for most keys.
pub fn set_count(count: i32) {
    debug_assert!(BOUNDS.contains(&count), "{count} partitions");
    COUNT.store(count, Ordering::Relaxed);
}

/// The setting from its text.
///
/// # Errors
/// When it is no number in [`BOUNDS`]: the bounds, and an example.
pub fn parse_count(text: &str) -> Result<i32, String> {
    let count = text.parse().ok().filter(|count| BOUNDS.contains(count));
    let (from, to) = BOUNDS.into_inner();
    count.ok_or_else(|| {
        let expected = format!("a number of partitions from {from} to {to}, such as {DEFAULT}");
        format!("{SETTING} is {text}; expected {expected}")
    })
}

/// The partition of `key` among `partitions`: murmur2 as in the Java client and in librdkafka's
/// `murmur2_random`, so that every producer of the shop puts a key in the same place.
pub fn partition_for(key: &[u8], partitions: i32) -> i32 {
    let positive = (murmur2(key) & 0x7fff_ffff) as i32;
    positive % partitions
}

/// MurmurHash2, 32 bit, with the seed of `org.apache.kafka.common.utils.Utils`.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ data.len() as u32;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = chunks.remainder();
    if !tail.is_empty() {
        for (i, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_bounds_is_refused_with_the_setting_and_its_bounds() {
        for (text, count) in [("3", 3), ("12", 12), ("48", 48)] {
            assert_eq!(parse_count(text), Ok(count));
        }
        for text in ["2", "49", "0", "-3", "many", "", "3.5"] {
            let error = parse_count(text).unwrap_err();
            let names = error.starts_with(&format!("PARTITIONS is {text}; "));
            assert!(names && error.contains("from 3 to 48"), "{error}");
        }
    }

    /// The vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_is_kafkas() {
        let vectors: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (data, hash) in vectors {
            assert_eq!(murmur2(data) as i32, hash, "{}", String::from_utf8_lossy(data));
        }
    }
}
