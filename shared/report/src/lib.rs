//! A run as one HTML file that needs no other: no script, no font, no host. Its callers bring what
//! is in it; this crate has what two of them share.

use auditor::{Verdict, Violation};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::fmt::Display;

/// Readable on white and on black: the reader's setting decides.
const STYLE: &str = include_str!("style.css");

/// Styles stand in the file; nothing is loaded and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The file: `title` is the command of the run, `wrong` is all that is not as it should be.
#[must_use]
pub fn page(title: &str, wrong: &[String], body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { code { (title) } }
                @if wrong.is_empty() {
                    p.clean { "Verdict: clean" }
                } @else {
                    p.unclean { "Verdict: NOT clean" }
                    ul { @for what in wrong { li { (what) } } }
                }
                (body)
            }
        }
    };
    page.into_string()
}

/// The violations of `verdict`, each with what `more` knows of it, and with the story of its order.
#[must_use]
pub fn violations(verdict: &Verdict, more: impl Fn(&Violation) -> Markup) -> Markup {
    let untold = verdict.violation_count() - verdict.violations.len();
    html! {
        h2 { "Violations" }
        @if verdict.violations.is_empty() { p { "None." } }
        @for violation in &verdict.violations {
            section.violation {
                h3 { (violation.law.name()) ": " (violation.law.statement()) }
                p { (violation.to_string()) }
                (more(violation))
                @if let Some(story) = violation.order.and_then(|id| verdict.stories.get(&id)) {
                    (details("The story of the order", story))
                }
            }
        }
        @if untold > 0 { p { (untold) " more are not shown." } }
        @for remark in &verdict.remarks { p { "Remark: " (remark) } }
    }
}

/// Lines that open on request.
#[must_use]
pub fn details<T: Display>(summary: &str, lines: impl IntoIterator<Item = T>) -> Markup {
    let lines: Vec<_> = lines.into_iter().map(|line| line.to_string()).collect();
    let text = lines.join("\n");
    html! {
        details {
            summary { (summary) ", " (text.lines().count()) " lines" }
            pre { (text) }
        }
    }
}

/// Counts as bars, the greatest of which has the whole width.
#[must_use]
pub fn bars<K: Display>(counts: impl IntoIterator<Item = (K, u64)>) -> Markup {
    let counts: Vec<_> =
        counts.into_iter().map(|(what, count)| (what.to_string(), count)).collect();
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    html! {
        table.bars {
            @for (what, count) in &counts {
                tr {
                    th { (what) }
                    td.count { (count) }
                    td.bar { meter min="0" max=(most) value=(count) {} }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auditor::{Evidence, Law};

    fn verdict() -> Verdict {
        let mut verdict = auditor::audit(&Evidence::default());
        let law = Law::ALL[0];
        let detail = "expected <3>, found 4".to_owned();
        verdict.violations = vec![Violation { law, order: None, sku: None, detail }];
        if let Some(tally) = verdict.tallies.get_mut(&law) {
            tally.violations = 3;
        }
        verdict
    }

    #[test]
    fn a_page_needs_nothing_else_and_takes_text_for_text() {
        let verdict = verdict();
        let trace = |_: &Violation| details("Trace", ["1 <kafka> & co", "2"]);
        let body = html! { (violations(&verdict, trace)) (bars([("kill", 3), ("<b>", 0)])) };
        let page = page("./shop chaos <script>", &["1 order has not ended".into()], &body);
        for text in [
            "&lt;script&gt;",
            "expected &lt;3&gt;, found 4",
            "1 &lt;kafka&gt; &amp; co",
            "2 more are not shown",
            "NOT clean",
            "&lt;b&gt;",
            "2 lines",
        ] {
            assert!(page.contains(text), "{text} is missing in\n{page}");
        }
        for foreign in ["<script", "http://", "https://", "src=", "url(", "@import"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_clean_run_says_so() {
        let clean = auditor::audit(&Evidence::default());
        let nothing = |_: &Violation| html! {};
        let page = page("./shop simulate", &[], &violations(&clean, nothing));
        assert!(page.contains("Verdict: clean") && page.contains("None."), "{page}");
    }
}
