//! The headers of what we send: CloudEvents, trace, cause and lineage.

use crate::{
    Service, Timestamp,
    record::{Headers, Record, names},
};

/// Most services in a lineage. A choreography that goes round in circles must not grow headers
/// without end; the oldest are dropped.
const LINEAGE_MAX: usize = 16;

/// One service with its version, as lineage has it: `orders@0.1.0`.
fn passage<S: Service>() -> String {
    format!("{}@{}", S::NAME, S::VERSION)
}

/// What caused a record that is about to be sent.
#[derive(Debug, Clone, Default)]
pub struct Cause {
    /// `topic/partition/offset`; none at the edge, where a person is the cause.
    pub address: Option<String>,
    /// Shared by the whole story.
    pub correlation_id: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The services so far.
    pub lineage: Option<String>,
}

impl Cause {
    /// A record that was read.
    pub fn of(record: &Record) -> Self {
        let header = |name| record.headers.get(name).map(str::to_owned);
        Self {
            address: Some(record.address()),
            correlation_id: header(names::CORRELATION_ID),
            traceparent: header(names::TRACEPARENT),
            lineage: header(names::LINEAGE),
        }
    }

    /// The headers of an event of `kind` about `subject` that `S` writes because of this.
    pub fn headers<S: Service>(&self, kind: &str, subject: &str, at: Timestamp) -> Headers {
        let mut headers = Headers(Vec::with_capacity(10));
        headers.push(names::SPEC_VERSION, "1.0");
        headers.push(names::ID, uuid::Uuid::now_v7().to_string());
        headers.push(names::SOURCE, S::NAME);
        headers.push(names::TYPE, kind);
        headers.push(names::TIME, rfc3339(at));
        headers.push(names::SUBJECT, subject);
        headers.push(names::CORRELATION_ID, self.correlation_id.as_deref().unwrap_or(subject));
        headers.push(names::LINEAGE, self.lineage_through::<S>());
        if let Some(address) = &self.address {
            headers.push(names::CAUSATION_ID, address.as_str());
        }
        if let Some(traceparent) = &self.traceparent {
            headers.push(names::TRACEPARENT, traceparent.as_str());
        }
        headers
    }

    fn lineage_through<S: Service>(&self) -> String {
        let mut passages: Vec<String> =
            self.lineage.iter().flat_map(|lineage| lineage.split(" > ")).map(Into::into).collect();
        // Several hops inside one service count as one passage.
        if passages.last().is_none_or(|last| *last != passage::<S>()) {
            passages.push(passage::<S>());
        }
        let surplus = passages.len().saturating_sub(LINEAGE_MAX);
        passages.split_off(surplus).join(" > ")
    }
}

/// `2026-11-21T08:30:00.123Z` (RFC 3339).
pub fn rfc3339(at: Timestamp) -> String {
    let (days, day_ms) = (at.millis().div_euclid(86_400_000), at.millis().rem_euclid(86_400_000));
    let (year, month, day) = civil_from_days(days);
    let (seconds, millis) = (day_ms / 1000, day_ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Days since the epoch to a date of the Gregorian calendar (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms").
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::TopicSpec;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(Timestamp(1_709_210_096_789)), "2024-02-29T12:34:56.789Z");
    }

    struct Sums;
    struct Counts;

    impl Service for Sums {
        const NAME: &'static str = "sums";
        const VERSION: &'static str = "1.2.0";

        fn dead_letters() -> &'static TopicSpec {
            unreachable!("nothing is dead-lettered here")
        }
    }

    impl Service for Counts {
        const NAME: &'static str = "counts";
        const VERSION: &'static str = "2.0.0";

        fn dead_letters() -> &'static TopicSpec {
            unreachable!("nothing is dead-lettered here")
        }
    }

    #[test]
    fn lineage_names_each_service_once_in_a_row_and_stays_bounded() {
        let cause = Cause { lineage: Some("sums@1.2.0".into()), ..Cause::default() };
        assert_eq!(cause.lineage_through::<Sums>(), "sums@1.2.0");
        assert_eq!(cause.lineage_through::<Counts>(), "sums@1.2.0 > counts@2.0.0");
        let long = Cause { lineage: Some(["a@1", "b@1"].repeat(20).join(" > ")), ..cause };
        assert_eq!(long.lineage_through::<Counts>().split(" > ").count(), LINEAGE_MAX);
    }
}
