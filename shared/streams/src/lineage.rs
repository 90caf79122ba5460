//! The headers of our records: CloudEvents, trace, cause and lineage.

use crate::{
    Service, Timestamp,
    limits::HEADER_BYTES_MAX,
    record::{Headers, Record, names},
};
use serde::{Deserialize, Serialize};

/// Most services in a lineage. A choreography that goes round in circles must not grow headers
/// without end; the oldest are dropped.
const LINEAGE_MAX: usize = 16;

/// Longest lineage, in bytes; the oldest are dropped here as well.
const LINEAGE_BYTES_MAX: usize = HEADER_BYTES_MAX - names::LINEAGE.len();

/// One service with its version, as lineage has it: `orders@0.1.0`.
fn passage<S: Service>() -> String {
    format!("{}@{}", S::NAME, S::VERSION)
}

/// What caused a record that is about to be sent. A processor may store it, to go on with the story
/// when time is the only cause ([`crate::Tx::continue_story`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cause {
    /// `topic/partition/offset`; none at the edge, where a person is the cause.
    pub address: Option<String>,
    /// Shared by the whole story.
    pub correlation_id: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The services so far.
    pub lineage: Option<String>,
    /// Who has asked for it at the edge.
    pub caller: Option<String>,
}

impl Cause {
    /// A record that was read. A header that none of ours could be is left behind: it would be in
    /// everything that follows.
    pub fn of(record: &Record) -> Self {
        let fits = |name: &str, value: &str| name.len() + value.len() <= HEADER_BYTES_MAX;
        let header = |name| record.headers.get(name).filter(|value| fits(name, value));
        let header = |name| header(name).map(str::to_owned);
        Self {
            address: Some(record.address()),
            correlation_id: header(names::CORRELATION_ID),
            traceparent: header(names::TRACEPARENT),
            lineage: header(names::LINEAGE),
            caller: header(names::CALLER_ID),
        }
    }

    /// The headers of an event of `kind` about `subject` that `S` writes because of this.
    pub fn headers<S: Service>(&self, kind: &str, subject: &str, at: Timestamp) -> Headers {
        let mut headers = Headers(Vec::with_capacity(11));
        headers.push(names::SPEC_VERSION, "1.0");
        headers.push(names::ID, uuid::Uuid::now_v7().to_string());
        headers.push(names::SOURCE, S::NAME);
        headers.push(names::TYPE, kind);
        headers.push(names::TIME, at.rfc3339());
        headers.push(names::SUBJECT, subject);
        headers.push(names::CORRELATION_ID, self.correlation_id.as_deref().unwrap_or(subject));
        headers.push(names::LINEAGE, self.lineage_through::<S>());
        if let Some(address) = &self.address {
            headers.push(names::CAUSATION_ID, address.as_str());
        }
        if let Some(traceparent) = &self.traceparent {
            headers.push(names::TRACEPARENT, traceparent.as_str());
        }
        if let Some(caller) = &self.caller {
            headers.push(names::CALLER_ID, caller.as_str());
        }
        headers
    }

    fn lineage_through<S: Service>(&self) -> String {
        let passage = passage::<S>();
        let mut passages: Vec<&str> =
            self.lineage.iter().flat_map(|lineage| lineage.split(" > ")).collect();
        // Several hops inside one service count as one passage.
        if passages.last().is_none_or(|last| *last != passage) {
            passages.push(&passage);
        }
        let surplus = passages.len().saturating_sub(LINEAGE_MAX);
        let mut lineage = passages.split_off(surplus).join(" > ");
        while lineage.len() > LINEAGE_BYTES_MAX
            && let Some((_, later)) = lineage.split_once(" > ")
        {
            lineage = later.to_owned();
        }
        lineage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::TopicSpec;

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
        let wide = "a".repeat(LINEAGE_BYTES_MAX);
        let wide = Cause { lineage: Some(wide), ..Cause::default() };
        assert_eq!(wide.lineage_through::<Counts>(), "counts@2.0.0");
    }

    #[test]
    fn who_has_asked_is_told_with_all_that_follows() {
        let cause = Cause { caller: Some("customer:ada".into()), ..Cause::default() };
        let headers = cause.headers::<Sums>("Sum", "m-1", Timestamp(1));
        assert_eq!(headers.get(names::CALLER_ID), Some("customer:ada"));
        let (topic, key, value) = ("sums".into(), None, None);
        let record =
            Record { topic, partition: 0, offset: 1, timestamp_ms: 1, key, value, headers };
        assert_eq!(Cause::of(&record).caller.as_deref(), Some("customer:ada"));
        let none = Cause::default().headers::<Sums>("Sum", "m-1", Timestamp(1));
        assert_eq!(none.get(names::CALLER_ID), None);
    }

    #[test]
    fn a_header_that_none_of_ours_could_be_is_left_behind() {
        const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = Headers::default();
        headers.push(names::TRACEPARENT, TRACE);
        headers.push(names::CORRELATION_ID, "x".repeat(2_000_000));
        let (topic, key, value) = ("sums".into(), None, None);
        let record =
            Record { topic, partition: 0, offset: 1, timestamp_ms: 1, key, value, headers };
        let cause = Cause::of(&record);
        assert_eq!(cause.traceparent.as_deref(), Some(TRACE));
        let headers = cause.headers::<Sums>("Sum", "m-1", Timestamp(1));
        assert_eq!(headers.get(names::CORRELATION_ID), Some("m-1"));
    }
}
