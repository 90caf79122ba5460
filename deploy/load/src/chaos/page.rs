//! A run as one HTML file: the faults over rates, latencies and orders that could not be seen, the
//! tables, and the violations with the stories of their orders.

use std::time::{Duration, Instant};

use auditor::{Verdict, Violation};
use maud::{Markup, PreEscaped, html};

use super::figures::{never_seen, p99_ms, unseen};
use super::recovery::Happened;
use super::timeline::{self, Curve, Picture};
use crate::journal::{Reply, Story};

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
                    (report::violations(verdict, |violation| self.met(violation)))
                    (report::details("All that the auditor has looked at", [verdict]))
                }
                Err(why) => p { "The shop could not be audited: " (why) },
            }
        };
        report::page(self.title, &self.wrong, &body)
    }

    /// The faults that struck while the order of `violation` was under way. A run on real machines
    /// cannot be made smaller; this says where to look.
    fn met(&self, violation: &Violation) -> Markup {
        let is_it = |story: &&Story| {
            let accepted = story.reply.map(|(_, reply)| reply);
            violation.order.is_some_and(|order| accepted == Some(Reply::Accepted(order)))
        };
        let Some(story) = self.stories.iter().find(is_it) else { return html! {} };
        let end = story.settled.map(|(at, _)| at);
        let until = end.unwrap_or(self.end);
        let met = |fault: &&Happened| fault.begin <= until && fault.end >= story.due;
        let met: Vec<_> = self.faults.iter().filter(met).collect();
        let at = |at: Instant| format!("{:.1} s", (at - self.begin).as_secs_f64());
        html! {
            p {
                "The order was due at " (at(story.due))
                @match end {
                    Some(end) => { " and ended at " (at(end)) }
                    None => " and did not end"
                }
                @if met.is_empty() { "; no fault struck meanwhile." } @else { "; meanwhile:" }
            }
            ul { @for fault in met {
                li { (fault.act.to_string()) ", from " (at(fault.begin)) " to " (at(fault.end)) }
            } }
        }
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
    use auditor::{Evidence, Law, Moment};
    use contracts::{OrderId, Timestamp};
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
        let over = Happened { begin: begin + s(3), end: begin + s(4), ..fault.clone() };
        let before =
            Happened { begin, end: begin, act: Act::Kill("kafka".into()), ..fault.clone() };
        let mut verdict = auditor::audit(&Evidence::default());
        let (law, detail) = (Law::ALL[0], "two captures".to_owned());
        verdict.violations.push(Violation { law, order: Some(order), sku: None, detail });
        if let Some(tally) = verdict.tallies.get_mut(&law) {
            tally.violations = 1;
        }
        let moment = Moment {
            at: Timestamp(0),
            place: "payments.charges".into(),
            who: "payments".into(),
            what: "captured once more".into(),
        };
        verdict.stories.insert(order, vec![moment]);
        let shown = Shown {
            title: "./shop chaos --seed 7",
            begin,
            end: begin + s(10),
            stories: &[story],
            faults: &[fault, over, before],
            tables: "fault <at>".into(),
            audited: Ok(&verdict),
            wrong: vec!["1 orders have not ended".into()],
        };
        let page = shown.page();
        let met = page.split("The order was due at 1.0 s and did not end; meanwhile:").nth(1);
        let met = met.and_then(|rest| rest.split("</ul>").next()).unwrap();
        assert_eq!(met.matches("<li>").count(), 2, "{met}");
        assert!(met.contains("freeze orders-1, from 1.0 s to 9.0 s"), "{met}");
        assert_eq!(page.matches("freeze orders-1").count(), 8, "in each picture, and at the order");
        for text in [
            "--seed 7",
            "class=\"p99\"",
            "class=\"unseen\"",
            &order.to_string(),
            "fault &lt;at&gt;",
            "1 orders have not ended",
            "two captures",
            "The story of the order",
            "captured once more",
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
