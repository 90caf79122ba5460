//! [`RateLimit`]: a bucket of tokens for each caller, in bounded memory.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};
use parking_lot::Mutex;

/// Most callers whose buckets are kept at a time. Beyond, all further callers share one bucket: so
/// many at once are one, under many names.
const CALLERS_MAX: usize = 50_000;

/// Who has a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Bucket {
    /// A caller with a token.
    Identity(String),
    /// One without: an address of IPv4, or a network of IPv6, of which each host has 2^64.
    Address(IpAddr),
    /// All for whom there was no room.
    Others,
}

impl Bucket {
    pub(super) fn of_address(address: Option<IpAddr>) -> Self {
        match address {
            Some(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
                Some(mapped) => Self::Address(mapped.into()),
                None => {
                    let network = address.to_bits() & (u128::MAX << 64);
                    Self::Address(Ipv6Addr::from_bits(network).into())
                }
            },
            Some(address) => Self::Address(address),
            None => Self::Others,
        }
    }
}

type Buckets<C> =
    RateLimiter<Bucket, HashMapStateStore<Bucket>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// How often each caller may come.
pub(super) struct RateLimit<C: Clock = DefaultClock> {
    buckets: Buckets<C>,
    clock: C,
    callers_max: usize,
    /// When there is no room: not again before the buckets were looked through.
    is_full: Mutex<Option<C::Instant>>,
}

impl RateLimit {
    /// `per_s` requests a second in the long run, and `burst` at once.
    pub(super) fn new(per_s: NonZeroU32, burst: Option<NonZeroU32>) -> Self {
        Self::with_clock(per_s, burst, CALLERS_MAX, DefaultClock::default())
    }
}

impl<C: Clock + Clone> RateLimit<C> {
    fn with_clock(
        per_s: NonZeroU32,
        burst: Option<NonZeroU32>,
        callers_max: usize,
        clock: C,
    ) -> Self {
        let burst = burst.unwrap_or_else(|| per_s.saturating_mul(TWO));
        let quota = Quota::per_second(per_s).allow_burst(burst);
        let buckets = RateLimiter::hashmap_with_clock(quota, clock.clone());
        Self { buckets, clock, callers_max, is_full: Mutex::new(None) }
    }

    /// Takes one request from the bucket; when that is empty, after how many seconds it will not
    /// be, 1 at least.
    pub(super) fn take(&self, bucket: Bucket) -> Result<(), u32> {
        let bucket = if self.has_room() { bucket } else { Bucket::Others };
        self.buckets.check_key(&bucket).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
        })
    }

    /// A bucket that is full again says no more than none, and is forgotten. To look for these
    /// takes a moment, so it happens once a second at most.
    fn has_room(&self) -> bool {
        if self.buckets.len() < self.callers_max {
            return true;
        }
        let mut looked_at = self.is_full.lock();
        let now = self.clock.now();
        let second = governor::nanos::Nanos::new(1_000_000_000);
        if looked_at.is_none_or(|at| governor::clock::Reference::duration_since(&now, at) >= second)
        {
            self.buckets.retain_recent();
            *looked_at = Some(now);
        }
        self.buckets.len() < self.callers_max
    }
}

const TWO: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limit(per_s: u32, callers_max: usize) -> (RateLimit<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let per_s = NonZeroU32::new(per_s).unwrap();
        (RateLimit::with_clock(per_s, None, callers_max, clock.clone()), clock)
    }

    fn caller(name: &str) -> Bucket {
        Bucket::Identity(name.to_owned())
    }

    #[test]
    fn each_caller_has_a_bucket_that_fills_again() {
        let (limit, clock) = limit(1, 10);
        assert_eq!([(); 3].map(|()| limit.take(caller("ada"))), [Ok(()), Ok(()), Err(1)]);
        assert_eq!(limit.take(caller("grace")), Ok(()));
        clock.advance(Duration::from_secs(1));
        assert_eq!([(); 2].map(|()| limit.take(caller("ada"))), [Ok(()), Err(1)]);
    }

    #[test]
    fn callers_beyond_the_bound_share_a_bucket_until_others_have_gone() {
        let (limit, clock) = limit(1, 2);
        for name in ["a", "b", "c", "d"] {
            assert_eq!(limit.take(caller(name)), Ok(()), "{name}");
        }
        assert_eq!(limit.take(caller("e")), Err(1), "c and d have had what the others may");
        assert!(limit.buckets.len() <= 3);
        clock.advance(Duration::from_secs(10));
        assert_eq!(limit.take(caller("e")), Ok(()));
        assert_eq!(limit.buckets.len(), 1, "the others are forgotten");
    }

    #[test]
    fn the_hosts_of_a_network_of_ipv6_are_one_caller() {
        let of = |text: &str| Bucket::of_address(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::2"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
