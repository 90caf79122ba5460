//! A run as one HTML file: the faults over rates, latencies and orders that could not be seen, the
//! tables, and the violations with the stories of their orders.

use std::time::{Duration, Instant};

use auditor::Verdict;
use maud::{Markup, PreEscaped, html};

use super::figures::{never_seen, p99_ms, unseen};
use super::recovery::Happened;
use super::timeline::{self, Curve, Picture};
use crate::journal::Story;

/// Most orders that are told one by one.
const UNSEEN_TOLD: usize = 100;

/// What the page shows of a run.
pub(super) struct Shown<'a> {
    pub(super) title: &'a str,
    pub(super) begin: Instant,
    /// When it was looked at: what had not ended had not ended by then.
    pub(super) end: Instant,
    pub(super) stories: &'a [Story],
    pub(super) faults: &'a [Happened],
    pub(super) tables: String,
    pub(super) audited: Result<&'a Verdict, String>,
    /// All that is not as it should be.
    pub(super) wrong: Vec<String>,
}

impl Shown<'_> {
    /// The file.
    #[must_use]
    pub(super) fn page(&self) -> String {
        let body = html! {
            h2 { "Faults over rate and latency" }
            (PreEscaped(timeline::draw("Orders per second", self.begin, self.stories, self.faults)))
            (PreEscaped(self.latencies()))
            h2 { "Orders that could not be seen" }
            p { "Accepted with 202, and not shown by the view yet." }
            (PreEscaped(self.unseen()))
            (self.never_seen())
            h2 { "Figures" }
            pre { (self.tables) }
            @match &self.audited {
                Ok(verdict) => {
                    (report::violations(verdict, |_| html! {}))
                    (report::details("All that the auditor has looked at", [verdict]))
                }
                Err(why) => p { "The shop could not be audited: " (why) },
            }
        };
        report::page(self.title, &self.wrong, &body)
    }

    fn latencies(&self) -> String {
        let figures = p99_ms(self.begin, self.end, self.stories);
        let words = "p99 of the orders due in the last 5 s";
        let curve = Curve { class: "p99", words, figures };
        self.picture("Time to the end of an order", "ms", curve)
    }

    fn unseen(&self) -> String {
        let figures = unseen(self.begin, self.last(), self.stories);
        let curve = Curve { class: "unseen", words: "accepted and not shown", figures };
        self.picture("Orders that could not be seen", "orders", curve)
    }

    /// The last moment that any order tells of: what is after it would only make curves short.
    fn last(&self) -> Instant {
        let ends = self.stories.iter().filter_map(|story| Some(story.settled?.0));
        let last = ends.chain(self.stories.iter().map(|story| story.due)).max();
        last.unwrap_or(self.begin).min(self.end)
    }

    fn picture(&self, title: &str, unit: &str, curve: Curve) -> String {
        let highest = curve.figures.iter().copied().max().unwrap_or(0);
        let (begin, faults, curves) = (self.begin, self.faults, &[curve][..]);
        let seconds = unseen(begin, self.last(), self.stories).len();
        Picture { title, unit, begin, faults, curves, seconds, highest }.draw()
    }

    fn never_seen(&self) -> Markup {
        let orders = never_seen(self.begin, self.stories);
        let told = orders.iter().take(UNSEEN_TOLD);
        let seconds = |due: &Duration| format!("{:.1} s", due.as_secs_f64());
        html! {
            @if orders.is_empty() {
                p { "Every accepted order was seen." }
            } @else {
                p { (orders.len()) " orders were never seen:" }
                ul { @for (order, due) in told {
                    li { code { (order) } ", due at " (seconds(due)) }
                } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use auditor::Evidence;
    use contracts::OrderId;
    use uuid::Uuid;

    use super::*;
    use crate::chaos::fault::Act;
    use crate::journal::{Reached, Reply};
    use crate::mix::Kind;

    #[test]
    fn a_page_has_the_faults_the_curves_and_the_orders_that_were_not_seen() {
        let begin = Instant::now();
        let s = Duration::from_secs;
        let order = OrderId(Uuid::from_u128(7));
        let story = Story {
            kind: Kind::Plain,
            due: begin + s(1),
            reply: Some((begin + s(2), Reply::Accepted(order))),
            settled: None,
            reached: Reached::default(),
        };
        let fault = Happened {
            act: Act::Freeze("orders-1".into()),
            begin: begin + s(1),
            end: begin + s(9),
            failed: None,
        };
        let verdict = auditor::audit(&Evidence::default());
        let shown = Shown {
            title: "./shop chaos --seed 7",
            begin,
            end: begin + s(10),
            stories: &[story],
            faults: &[fault],
            tables: "fault <at>".into(),
            audited: Ok(&verdict),
            wrong: vec!["1 orders have not ended".into()],
        };
        let page = shown.page();
        assert_eq!(page.matches("freeze orders-1").count(), 3, "over each of the pictures");
        for text in [
            "--seed 7",
            "class=\"p99\"",
            "class=\"unseen\"",
            &order.to_string(),
            "fault &lt;at&gt;",
            "1 orders have not ended",
            "None.",
        ] {
            assert!(page.contains(text), "{text} is missing in\n{page}");
        }
        for foreign in ["<script", "src=", "url(", "NaN"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        // The only address is the name of SVG's own language.
        let addresses = page.matches("://").count();
        assert_eq!(addresses, page.matches("http://www.w3.org/2000/svg").count());
    }
}
