//! The picture of a run: orders accepted and settled in each second, and the faults above them.

use std::time::{Duration, Instant};

use svg::Document;
use svg::node::element::{Group, Line, Polyline, Rectangle, Style, Text, Title};

use super::recovery::Happened;
use crate::journal::Story;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 16.0;
const TITLE_HEIGHT: f64 = 30.0;
const LANE_HEIGHT: f64 = 16.0;
const CHART_HEIGHT: f64 = 220.0;
const BELOW: f64 = 62.0;
/// The width of a letter of the labels on the faults, on average.
const LETTER: f64 = 5.6;
/// A kill lasts no time, and is seen all the same.
const BAR_WIDTH_MIN: f64 = 3.0;

/// Readable on white and on black: the reader's setting decides.
const STYLE: &str = "
text { font-family: ui-sans-serif, system-ui, sans-serif; font-size: 11px; fill: #333 }
.title { font-size: 14px; font-weight: 600 }
.paper { fill: #fff }
.grid { stroke: #8886; stroke-width: .5 }
.axis { stroke: #666 }
.mark { stroke: #c2410c66; stroke-width: .7; stroke-dasharray: 2 3 }
.fault { fill: #c2410c }
.what { font-size: 10px }
.accepted, .settled, .p99, .unseen { fill: none; stroke-width: 1.4; stroke-linejoin: round }
.accepted { stroke: #2563eb }
.settled { stroke: #15803d }
.p99 { stroke: #7c3aed }
.unseen { stroke: #b45309 }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd }
  .paper { fill: #14161a }
  .axis { stroke: #aaa }
  .mark { stroke: #fb923c77 }
  .fault { fill: #fb923c }
  .accepted { stroke: #7dadff }
  .settled { stroke: #4ade80 }
  .p99 { stroke: #c4b5fd }
  .unseen { stroke: #fbbf24 }
}
";

/// A figure in each second of the run.
pub(super) struct Curve {
    /// How it is drawn: a class of [`STYLE`].
    pub(super) class: &'static str,
    /// What it is, for the legend.
    pub(super) words: &'static str,
    /// The figure in each second.
    pub(super) figures: Vec<usize>,
}

/// What is drawn: the faults, and below them curves of one unit.
pub(super) struct Picture<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    pub(super) begin: Instant,
    pub(super) faults: &'a [Happened],
    pub(super) curves: &'a [Curve],
    /// How long it is at least, so that pictures of one run have one width.
    pub(super) seconds: usize,
    /// The highest figure that has its place; what is higher is cut off, and its height written.
    pub(super) highest: usize,
}

/// Draws the run that began at `begin`.
#[must_use]
pub(super) fn draw(title: &str, begin: Instant, stories: &[Story], faults: &[Happened]) -> String {
    let accepted = per_second(begin, stories.iter().filter_map(|story| Some(story.accepted()?.0)));
    let settled = per_second(begin, stories.iter().filter_map(|story| Some(story.settled?.0)));
    let highest = highest_shown(&accepted, &settled);
    let curves = [
        Curve { class: "accepted", words: "accepted", figures: accepted },
        Curve { class: "settled", words: "settled, as seen in the view", figures: settled },
    ];
    let (unit, curves) = ("orders per second", &curves[..]);
    Picture { title, unit, begin, faults, curves, seconds: 0, highest }.draw()
}

impl Picture<'_> {
    /// As SVG.
    #[must_use]
    pub(super) fn draw(&self) -> String {
        let longest = self.curves.iter().map(|curve| curve.figures.len()).max().unwrap_or(0);
        let scale = Scale::new(longest.max(self.seconds).max(1), self.highest.max(1));
        let bars: Vec<_> = self.faults.iter().map(|fault| scale.bar(self.begin, fault)).collect();
        let lanes = lanes(&bars);
        let lane_count = lanes.iter().max().map_or(0, |lane| lane + 1);
        let top = TITLE_HEIGHT + LANE_HEIGHT * count(lane_count) + 8.0;
        let height = top + CHART_HEIGHT + BELOW;

        let mut chart = Group::new().set("transform", format!("translate(0 {top:.0})"));
        chart = axes(chart, &scale, self.unit);
        for bar in &bars {
            let line = Line::new().set("class", "mark");
            chart = chart.add(place(line, (bar.from, 0.0), (bar.from, CHART_HEIGHT)));
        }
        for Curve { class, figures, .. } in self.curves {
            chart = chart.add(curve(class, &scale, figures));
        }
        for Curve { figures, .. } in self.curves {
            chart = chart.add(cut_peaks(&scale, figures));
        }
        let mut document = self.paper(height);
        for ((bar, lane), fault) in bars.iter().zip(&lanes).zip(self.faults) {
            let y = TITLE_HEIGHT + LANE_HEIGHT * count(*lane);
            document = document.add(fault_bar(bar, y, fault));
        }
        document.add(chart).add(legend(self.curves, height - 14.0)).to_string()
    }

    fn paper(&self, height: f64) -> Document {
        let paper = Rectangle::new();
        let paper = paper.set("class", "paper").set("width", "100%").set("height", "100%");
        Document::new()
            .set("viewBox", format!("0 0 {WIDTH:.0} {height:.0}"))
            .set("role", "img")
            .add(Title::new(self.title))
            .add(Style::new(STYLE))
            .add(paper)
            .add(label(self.title, LEFT, 19.0).set("class", "title"))
    }
}

/// How many of `moments` are in each second since `begin`.
fn per_second(begin: Instant, moments: impl Iterator<Item = Instant>) -> Vec<usize> {
    let mut counts = Vec::new();
    for moment in moments {
        let second = usize::try_from(moment.saturating_duration_since(begin).as_secs());
        let second = second.expect("no run lasts 2^32 seconds");
        if counts.len() <= second {
            counts.resize(second + 1, 0);
        }
        counts[second] += 1;
    }
    counts
}

/// What was held up ends within a second or two, in peaks many times as high as the traffic. They
/// are cut off, so that the traffic can be seen.
fn highest_shown(accepted: &[usize], settled: &[usize]) -> usize {
    const TIMES_TRAFFIC: usize = 6;
    let highest = accepted.iter().chain(settled).copied().max().unwrap_or(0);
    let traffic = accepted.iter().sum::<usize>().div_ceil(accepted.len().max(1));
    highest.min(traffic.max(1) * TIMES_TRAFFIC).max(1)
}

/// Counts are small: seconds of a run, orders of a second, lanes.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

/// From seconds and orders per second to places in the chart.
struct Scale {
    seconds: usize,
    second: f64,
    /// Orders per second at the top of the chart.
    highest: usize,
}

/// A fault in the picture: where it begins and ends, and where its label ends.
struct Bar {
    from: f64,
    to: f64,
    label_end: f64,
}

impl Scale {
    fn new(seconds: usize, highest: usize) -> Self {
        let step = step_of(highest);
        let highest = highest.div_ceil(step) * step;
        Self { seconds, second: (WIDTH - LEFT - RIGHT) / count(seconds), highest }
    }

    fn x(&self, since_begin: Duration) -> f64 {
        LEFT + since_begin.as_secs_f64() * self.second
    }

    fn y(&self, orders: usize) -> f64 {
        CHART_HEIGHT * (1.0 - count(orders.min(self.highest)) / count(self.highest))
    }

    fn bar(&self, begin: Instant, fault: &Happened) -> Bar {
        let from = self.x(fault.begin.saturating_duration_since(begin));
        let to = self.x(fault.end.saturating_duration_since(begin)).max(from + BAR_WIDTH_MIN);
        let label = count(fault.act.to_string().len()) * LETTER + 10.0;
        // The label stands right of the bar's begin, over the bar if that is long.
        Bar { from, to, label_end: (from + BAR_WIDTH_MIN + label).max(to) }
    }
}

/// A step of 1, 2 or 5 times a power of ten that divides `highest` into at most six parts.
fn step_of(highest: usize) -> usize {
    let decades = std::iter::successors(Some(1), |decade: &usize| decade.checked_mul(10));
    let mut steps =
        decades.flat_map(|decade| [1, 2, 5].map(|factor| decade.saturating_mul(factor)));
    steps.find(|step| highest.div_ceil(*step) <= 6).unwrap_or(highest)
}

/// The uppermost lane for each bar in which it covers no other one.
fn lanes(bars: &[Bar]) -> Vec<usize> {
    let mut ends: Vec<f64> = Vec::new();
    let lane_of = |bar: &Bar| {
        let free = ends.iter().position(|end| *end <= bar.from);
        let lane = free.unwrap_or(ends.len());
        if lane == ends.len() {
            ends.push(bar.label_end);
        } else {
            ends[lane] = bar.label_end;
        }
        lane
    };
    bars.iter().map(lane_of).collect()
}

fn fault_bar(bar: &Bar, y: f64, fault: &Happened) -> Group {
    let body = Rectangle::new()
        .set("class", "fault")
        .set("x", round(bar.from))
        .set("y", round(y + 11.0))
        .set("width", round(bar.to - bar.from))
        .set("height", 3);
    let name = label(&fault.act.to_string(), bar.from + 1.0, y + 9.0).set("class", "what");
    Group::new().add(body).add(name)
}

fn axes(mut chart: Group, scale: &Scale, unit: &str) -> Group {
    let right = WIDTH - RIGHT;
    for orders in (0..=scale.highest).step_by(step_of(scale.highest)) {
        let y = scale.y(orders);
        let line = Line::new().set("class", if orders == 0 { "axis" } else { "grid" });
        let number = label(&orders.to_string(), LEFT - 6.0, y + 4.0).set("text-anchor", "end");
        chart = chart.add(place(line, (LEFT, y), (right, y))).add(number);
    }
    for second in (0..=scale.seconds).step_by(step_of(scale.seconds.div_ceil(2))) {
        let x = scale.x(Duration::from_secs(second as u64));
        let line = Line::new().set("class", "axis");
        let number =
            label(&second.to_string(), x, CHART_HEIGHT + 16.0).set("text-anchor", "middle");
        chart = chart.add(place(line, (x, CHART_HEIGHT), (x, CHART_HEIGHT + 4.0))).add(number);
    }
    let middle = CHART_HEIGHT / 2.0;
    let upright = label(unit, 0.0, 0.0)
        .set("text-anchor", "middle")
        .set("transform", format!("translate(14 {middle}) rotate(-90)"));
    let below = label("seconds since the first order was due", LEFT, CHART_HEIGHT + 32.0);
    chart.add(upright).add(below)
}

fn curve(class: &str, scale: &Scale, per_second: &[usize]) -> Polyline {
    let points = (0..scale.seconds).map(|second| {
        let orders = per_second.get(second).copied().unwrap_or(0);
        // In the middle of its second.
        let x = LEFT + (count(second) + 0.5) * scale.second;
        format!("{:.1},{:.1}", x, scale.y(orders))
    });
    Polyline::new().set("class", class).set("points", points.collect::<Vec<_>>().join(" "))
}

/// How high those peaks are that go beyond the chart.
fn cut_peaks(scale: &Scale, per_second: &[usize]) -> Group {
    let mut numbers = Group::new();
    for (second, orders) in
        per_second.iter().enumerate().filter(|(_, orders)| **orders > scale.highest)
    {
        let x = LEFT + (count(second) + 0.5) * scale.second + 3.0;
        numbers = numbers.add(label(&orders.to_string(), x, 9.0).set("class", "what"));
    }
    numbers
}

fn legend(curves: &[Curve], y: f64) -> Group {
    let (mut legend, mut x) = (Group::new(), LEFT);
    for Curve { class, words, .. } in curves {
        let line = place(Line::new().set("class", *class), (x, y - 4.0), (x + 22.0, y - 4.0));
        legend = legend.add(line).add(label(words, x + 28.0, y));
        x += 50.0 + count(words.len()) * LETTER;
    }
    let bar = Rectangle::new().set("class", "fault").set("x", round(x)).set("y", round(y - 6.0));
    let words = "a fault while it lasts, above; the dotted line is its begin";
    legend.add(bar.set("width", 22).set("height", 3)).add(label(words, x + 28.0, y))
}

fn label(words: &str, x: f64, y: f64) -> Text {
    Text::new(words).set("x", round(x)).set("y", round(y))
}

fn place(line: Line, from: (f64, f64), to: (f64, f64)) -> Line {
    line.set("x1", round(from.0))
        .set("y1", round(from.1))
        .set("x2", round(to.0))
        .set("y2", round(to.1))
}

/// To a tenth, which is finer than a pixel.
fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use client::Outcome;
    use contracts::{OrderId, Status};
    use uuid::Uuid;

    use super::*;
    use crate::chaos::fault::Act;
    use crate::journal::{Reached, Reply};
    use crate::mix::Kind;

    fn bar(from: f64, label_end: f64) -> Bar {
        Bar { from, to: from + BAR_WIDTH_MIN, label_end }
    }

    #[test]
    fn labels_that_would_cover_each_other_have_lanes_of_their_own() {
        let bars =
            [bar(0.0, 50.0), bar(10.0, 60.0), bar(55.0, 90.0), bar(56.0, 99.0), bar(61.0, 99.0)];
        assert_eq!(lanes(&bars), [0, 1, 0, 2, 1]);
    }

    #[test]
    fn steps_are_round_and_few() {
        for (highest, step) in [(1, 1), (6, 1), (7, 2), (31, 10), (60, 10), (61, 20), (300, 50)] {
            assert_eq!(step_of(highest), step, "{highest}");
        }
    }

    #[test]
    fn a_picture_holds_both_curves_and_every_fault() {
        let begin = Instant::now();
        let s = Duration::from_secs;
        let stories: Vec<_> = (0..300_u64)
            .map(|n| Story {
                kind: Kind::Plain,
                due: begin + s(n),
                reply: Some((begin + s(n), Reply::Accepted(OrderId(Uuid::from_u128(n.into()))))),
                settled: Some((begin + s(n + 1), Outcome::Settled(Status::Confirmed))),
                reached: Reached::default(),
            })
            .collect();
        let fault = |at| Happened {
            act: Act::Freeze("orders-1".into()),
            begin: begin + s(at),
            end: begin + s(at + 8),
            failed: None,
        };
        let faults: Vec<_> = (0..28).map(|n| fault(n * 10)).collect();
        let picture = draw("chaos, seed 1", begin, &stories, &faults);
        assert_eq!(picture.matches("freeze orders-1").count(), 28);
        for text in
            ["class=\"accepted\"", "class=\"settled\"", "orders per second", "prefers-color-scheme"]
        {
            assert!(picture.contains(text), "{text} is missing");
        }
        assert!(picture.len() < 100_000, "{} bytes", picture.len());
        assert!(!picture.contains("NaN") && !picture.contains("inf"));
    }

    #[test]
    fn a_peak_that_goes_beyond_the_chart_has_its_height_written() {
        let (accepted, settled) = ([5; 100], [vec![0; 99], vec![500]].concat());
        let scale = Scale::new(100, highest_shown(&accepted, &settled));
        assert_eq!(scale.highest, 30);
        assert_eq!(cut_peaks(&scale, &accepted).to_string().matches("<text").count(), 0);
        assert!(cut_peaks(&scale, &settled).to_string().contains("500"));
        assert!(scale.y(500) >= 0.0, "it stays inside");
    }

    #[test]
    fn a_run_without_orders_has_a_picture_too() {
        let picture = draw("nothing", Instant::now(), &[], &[]);
        assert!(picture.contains("</svg>") && !picture.contains("NaN"));
    }
}
