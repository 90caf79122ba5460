//! The figures of the runs in `docs/bench.jsonl`, as the pages show them.

use std::fmt::Write as _;

use svg::Document;
use svg::node::element::{Group, Rectangle, Style, Text};

use crate::{Machine, Run};

/// What a page has between these lines is generated.
pub const BEGIN: &str = "<!-- bench: generated from docs/bench.jsonl -->";
/// The end of what is generated.
pub const END: &str = "<!-- bench: end -->";

/// The same of what is generated about scale.
pub const BEGIN_SCALE: &str = "<!-- bench scale: generated from docs/bench.jsonl -->";
/// Its end.
pub const END_SCALE: &str = "<!-- bench scale: end -->";

/// Name on the page, figure, unit, and the ratio that belongs to it.
pub type Row = (&'static str, &'static str, &'static str, Option<&'static str>);

/// All that pages show.
pub const ALL: &[Row] = &[
    (
        "validated, from the log",
        "burst.validated_per_s",
        "orders/s",
        Some("validated / bare stage"),
    ),
    (
        "records written for that",
        "burst.records_per_s",
        "records/s",
        Some("records of validation / bare stage"),
    ),
    ("settled, from the log", "burst.settled_per_s", "orders/s", Some("settled / bare stage")),
    (
        "validated, all for one product",
        "sale.validated_per_s",
        "orders/s",
        Some("the sale / mixed load"),
    ),
    ("highest rate held", "held.orders_per_s", "orders/s", Some("held / bare stage")),
    ("CPU of all processes at 20/s", "at20.cpu_s_per_1000", "s per 1,000 orders", None),
    ("CPU of all processes at 50/s", "at50.cpu_s_per_1000", "s per 1,000 orders", None),
    ("settled at 50/s, p50", "at50.to_settled_p50_ms", "ms", None),
    ("settled at 50/s, p99", "at50.to_settled_p99_ms", "ms", None),
    ("CPU of all processes at 200/s", "at200.cpu_s_per_1000", "s per 1,000 orders", None),
    ("settled at 200/s, p50", "at200.to_settled_p50_ms", "ms", None),
    ("settled at 200/s, p99", "at200.to_settled_p99_ms", "ms", None),
    ("idle, all processes", "idle.cores", "cores", None),
    ("idle, memory of the five services", "idle.services_mb", "MB", None),
    ("memory of the five services after a burst", "burst.services_mb", "MB", None),
    ("disk per order, log and databases", "burst.disk_bytes_per_order", "bytes", None),
    ("view `orders` rebuilt", "rebuild.orders_per_s", "records/s", None),
    ("view `versions` rebuilt", "rebuild.versions_per_s", "records/s", None),
    ("view `timeline` rebuilt", "rebuild.timeline_per_s", "records/s", None),
    ("first order of a fresh shop confirmed after", "start.first_confirmed_s", "s", None),
    ("orders killed, the next one validated after", "restart.after_kill_s", "s", None),
    ("the same with its state lost", "restart.without_state_s", "s", None),
    ("limit: a stage that decides nothing", "limit.stage_per_s", "records/s", None),
    ("limit: idempotent produce", "limit.produce_per_s", "records/s", None),
    ("limit: upserts into Postgres", "limit.upsert_per_s", "rows/s", None),
    ("limit: outbox to Kafka", "limit.outbox_per_s", "rows/s", None),
    ("limit: one transaction of one record, p50", "limit.hop_p50_ms", "ms", None),
];

/// The first of them, for a page about more than speed.
pub const HEADLINES: &[Row] = ALL.split_at(14).0;

/// A page whose generated part shows `rows` of the first of `runs` and of the last one.
///
/// # Errors
/// When the page does not say where that part is.
pub fn page(text: &str, runs: &[Run], rows: &[Row]) -> Result<String, String> {
    between(text, BEGIN, &table(runs, rows), END)
}

/// Machines on which yardstick and handover take up to this many times as long are taken as equal.
const ALIKE: f64 = 1.25;

/// A page whose part about scale shows the last of `runs` that has measured it; nothing, if none
/// has.
///
/// # Errors
/// As [`page`].
pub fn page_of_scale(text: &str, runs: &[Run]) -> Result<String, String> {
    between(text, BEGIN_SCALE, &scale(runs), END_SCALE)
}

/// `text` with `new` between the lines `begin` and `end`.
fn between(text: &str, begin: &str, new: &str, end: &str) -> Result<String, String> {
    let split = text
        .split_once(begin)
        .and_then(|(before, rest)| rest.split_once(end).map(|(_, after)| (before, after)));
    let (before, after) = split.ok_or_else(|| format!("there is no `{begin}` ... `{end}`"))?;
    Ok(format!("{before}{begin}\n{new}{end}{after}"))
}

/// The figures of the last run that has some of them, beside those of the first one on a machine
/// that was as fast.
fn table(runs: &[Run], rows: &[Row]) -> String {
    let has_some = |run: &&Run| rows.iter().any(|(_, name, ..)| run.figures.get(name).is_some());
    let runs: Vec<_> = runs.iter().filter(has_some).collect();
    let Some((last, earlier)) = runs.split_last() else { return String::new() };
    let machine = &last.machine;
    let first = earlier.iter().find(|run| are_alike(machine, &run.machine));
    let mut text = format!(
        "Commit `{}`, {} cores, {} GB, {}",
        last.commit,
        machine.cores,
        machine.memory_mb / 1_000,
        speed(machine),
    );
    text += &match first {
        Some(Run { commit, machine, .. }) => format!(
            "; before: commit `{commit}`, {}.\n\n\
             | what | before | now | unit | share of its limit |\n|---|---|---|---|---|\n",
            speed(machine)
        ),
        None => {
            ".\n\n| what | figure | unit | share of its limit |\n|---|---|---|---|\n".to_owned()
        }
    };
    let ratios = last.figures.ratios();
    for (what, name, unit, ratio) in rows {
        let Some(now) = last.figures.get(name) else { continue };
        let before = first.map(|first| first.figures.get(name).map_or_else(String::new, shown));
        let before = before.map_or_else(String::new, |before| format!(" {before} |"));
        let share = ratio.and_then(|ratio| ratios.get(ratio));
        let share = share.map_or_else(String::new, |share| format!("{share:.2}"));
        let _ = writeln!(text, "| {what} |{before} {} | {unit} | {share} |", shown(now));
    }
    text
}

/// Whether two machines are as fast as each other, as far as is known of both.
fn are_alike(one: &Machine, other: &Machine) -> bool {
    let is_near = |one: f64, other: f64| (1.0 / ALIKE..=ALIKE).contains(&(one / other));
    is_near(one.yardstick_s, other.yardstick_s) && is_near(one.handover_us, other.handover_us)
}

/// How fast a machine was.
fn speed(machine: &Machine) -> String {
    let yardstick = format!("yardstick {:.3} s", machine.yardstick_s);
    match machine.handover_us {
        0.0 => yardstick,
        handover => format!("{yardstick}, handover {handover:.0} µs"),
    }
}

/// What `scale` shows: the beginning of the places, what they are called, and columns.
const PLACES: [(&str, &str, &[Column]); 3] = [
    (
        "p",
        "partitions, instances",
        &[
            ("CPU s per 1,000 orders", "cpu_s_per_1000"),
            ("of it Kafka", "kafka_cpu_s_per_1000"),
            ("settled p99, ms", "to_settled_p99_ms"),
            ("validated/s, from the log", "validated_per_s"),
            ("settled/s, from the log", "settled_per_s"),
        ],
    ),
    (
        "skus",
        "products",
        &[
            ("CPU s per 1,000 orders", "cpu_s_per_1000"),
            ("validated/s, from the log", "validated_per_s"),
            ("settled/s, from the log", "settled_per_s"),
        ],
    ),
    (
        "open",
        "open orders",
        &[
            ("CPU s per 1,000 validated", "cpu_s_per_1000"),
            ("validated/s, from the log", "validated_per_s"),
            ("memory of orders, MB", "orders_mb"),
        ],
    ),
];
type Column = (&'static str, &'static str);

/// A table for each of [`PLACES`] that the last run with such figures has.
fn scale(runs: &[Run]) -> String {
    let is_of_scale = |run: &&Run| run.figures.0.keys().any(|name| name.starts_with("scale."));
    let Some(run) = runs.iter().rfind(is_of_scale) else { return String::new() };
    let (machine, settings) = (&run.machine, &run.settings);
    let asked = |name: &str| settings.get(name).map_or("?", String::as_str);
    let mut text = format!(
        "Commit `{}`, {} cores, {}; {} s at a rate, bursts of {} orders.\n",
        run.commit,
        machine.cores,
        speed(machine),
        asked("seconds"),
        asked("orders")
    );
    for (begin, title, columns) in PLACES {
        let places = places(run, begin);
        if places.is_empty() {
            continue;
        }
        let heads: Vec<_> = columns.iter().map(|(head, _)| *head).collect();
        let _ = writeln!(text, "\n| {title} | {} |", heads.join(" | "));
        let _ = writeln!(text, "|{}", "---|".repeat(columns.len() + 1));
        for (place, numbers) in places {
            let value = |what: &str| run.figures.get(&format!("scale.{place}.{what}"));
            let cells = columns.iter().map(|(_, what)| value(what).map_or_else(String::new, shown));
            let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
            let cells = cells.collect::<Vec<_>>().join(" | ");
            let _ = writeln!(text, "| {} | {cells} |", numbers.join(", "));
        }
    }
    text
}

/// The places of `run` whose names begin so, such as `p3.i2`, in the order of their numbers.
fn places(run: &Run, begin: &str) -> Vec<(String, Vec<u64>)> {
    let numbers = |place: &str| {
        let digits = place.strip_prefix(begin)?.split(".i");
        digits.map(|digits| digits.parse().ok()).collect::<Option<Vec<u64>>>()
    };
    let place = |name: &String| {
        let (place, _) = name.strip_prefix("scale.")?.rsplit_once('.')?;
        Some((place.to_owned(), numbers(place)?))
    };
    let mut places: Vec<_> = run.figures.0.keys().filter_map(place).collect();
    places.sort_by(|(_, a), (_, b)| a.cmp(b));
    places.dedup();
    places
}

/// Three digits that mean something, or all before the point.
fn shown(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

const STYLE: &str = "
text { font-family: ui-sans-serif, system-ui, sans-serif; font-size: 11px; fill: #333 }
.title { font-size: 14px; font-weight: 600 }
.paper { fill: #fff }
.kafka { fill: #64748b } .connect { fill: #a8a29e } .postgres { fill: #0e7490 }
.services { fill: #c2410c } .others { fill: #a3a3a3 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .paper { fill: #14161a } }
";

/// Who uses the CPU; what is not named is `others`.
const PARTS: [(&str, &[&str]); 4] = [
    ("kafka", &["kafka"]),
    ("postgres", &["postgres"]),
    ("connect", &["connect"]),
    ("services", &["orders", "inventory", "payments", "email", "view"]),
];
const RATES: [&str; 2] = ["at20", "at50"];

const WIDTH: f64 = 800.0;
const LEFT: f64 = 150.0;
const ROW: f64 = 22.0;
const TOP: f64 = 62.0;

/// A picture of the CPU per order: a bar for each run and rate, and what of it is whose.
#[must_use]
pub fn picture(runs: &[Run]) -> String {
    let bars: Vec<_> = runs.iter().flat_map(|run| RATES.map(|rate| (run, rate))).collect();
    let all = |(run, rate): &(&Run, &str)| run.figures.get(&format!("{rate}.cpu_s_per_1000"));
    let bars: Vec<_> = bars.into_iter().filter_map(|bar| Some((bar, all(&bar)?))).collect();
    let most = bars.iter().map(|(_, all)| *all).fold(1.0, f64::max);
    let scale = (WIDTH - LEFT - 60.0) / most;
    let mut picture = Group::new();
    let mut y = TOP;
    for ((run, rate), all) in &bars {
        let label = format!("{} at {}/s", run.commit, rate.trim_start_matches("at"));
        picture = picture.add(Text::new(label).set("x", 12).set("y", y + 14.0));
        let (mut x, mut left) = (LEFT, *all);
        for (part, names) in PARTS {
            let of = |name: &&str| run.figures.get(&format!("{rate}.{name}_cpu_s_per_1000"));
            let used: f64 = names.iter().filter_map(of).sum();
            picture = picture.add(bar(part, x, y, used * scale));
            (x, left) = (x + used * scale, left - used);
        }
        picture = picture.add(bar("others", x, y, left.max(0.0) * scale));
        x += left.max(0.0) * scale;
        picture = picture.add(Text::new(shown(*all)).set("x", x + 6.0).set("y", y + 14.0));
        y += ROW;
    }
    let height = y + 12.0;
    let paper = Rectangle::new().set("class", "paper").set("width", WIDTH).set("height", height);
    let title = Text::new("CPU seconds per 1,000 orders").set("class", "title");
    let document = Document::new()
        .set("viewBox", (0, 0, 800, height.ceil()))
        .add(Style::new(STYLE))
        .add(paper)
        .add(title.set("x", 12).set("y", 24))
        .add(legend())
        .add(picture);
    format!("{document}\n")
}

fn bar(part: &str, x: f64, y: f64, width: f64) -> Rectangle {
    let bar = Rectangle::new().set("class", part).set("x", format!("{x:.1}")).set("y", y);
    bar.set("width", format!("{width:.1}")).set("height", ROW - 5.0)
}

fn legend() -> Group {
    let mut legend = Group::new();
    let mut x = 12.0;
    for part in PARTS.map(|(part, _)| part).into_iter().chain(["others"]) {
        let square = Rectangle::new().set("class", part).set("x", x).set("y", 38);
        legend = legend.add(square.set("width", 11).set("height", 11));
        legend = legend.add(Text::new(part).set("x", x + 16.0).set("y", 48));
        x += 90.0;
    }
    legend
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Figures, Machine};
    use std::collections::BTreeMap;

    fn run(commit: &str, validated: f64) -> Run {
        let mut figures = Figures::default();
        figures.add("burst.validated_per_s", validated);
        figures.add("limit.stage_per_s", 4.0 * validated);
        figures.add("at20.cpu_s_per_1000", 60.0);
        figures.add("at20.kafka_cpu_s_per_1000", 30.0);
        let machine = Machine { cores: 2, memory_mb: 24_000, yardstick_s: 0.1, handover_us: 10.0 };
        let (at, commit) = ("2026-01-01T00:00:00Z".to_owned(), commit.to_owned());
        Run { at, commit, machine, settings: BTreeMap::new(), figures }
    }

    #[test]
    fn a_page_shows_the_first_run_and_the_last_and_keeps_the_rest() {
        let old = format!("above\n{BEGIN}\nold\n{END}\nbelow");
        let runs = [run("aaa", 1_000.0), run("bbb", 2_000.0), run("ccc", 3_000.0)];
        let new = page(&old, &runs, ALL).unwrap();
        assert!(new.starts_with("above\n") && new.ends_with("\nbelow"), "{new}");
        let row = "| validated, from the log | 1000 | 3000 | orders/s | 0.25 |";
        assert!(new.contains(row) && !new.contains("\nold"), "{new}");
        assert_eq!(page(&new, &runs, ALL).unwrap(), new);
        assert!(page("no place", &runs, ALL).is_err());
    }

    #[test]
    fn what_a_faster_machine_did_is_not_set_beside_it() {
        let slow = |change: fn(&mut Machine)| {
            let mut run = run("bbb", 500.0);
            change(&mut run.machine);
            run
        };
        let calculates = slow(|machine| machine.yardstick_s = 1.0);
        let hands_over = slow(|machine| machine.handover_us = 100.0);
        for slow in [calculates, hands_over, slow(|machine| machine.handover_us = 0.0)] {
            let runs = [run("aaa", 1_000.0), slow];
            let page = page(&format!("{BEGIN}{END}"), &runs, ALL).unwrap();
            assert!(page.contains("| validated, from the log | 500 | orders/s | 0.25 |"), "{page}");
            assert!(!page.contains("before"), "{page}");
        }
    }

    #[test]
    fn a_run_of_scale_has_tables_of_its_own_and_hides_no_other_run() {
        let mut scaled = run("ccc", 1.0);
        scaled.figures = Figures::default();
        let old = format!("{BEGIN}\n{END}\n{BEGIN_SCALE}\nold\n{END_SCALE}\n");
        let runs = [run("aaa", 1_000.0), run("bbb", 2_000.0)];
        assert!(!page_of_scale(&old, &runs).unwrap().contains("old"), "nothing, so far");
        for (place, cpu) in [("p12.i1", 30.0), ("p3.i2", 25.0), ("p3.i1", 20.0), ("open1000", 2.0)]
        {
            scaled.figures.add(format!("scale.{place}.cpu_s_per_1000"), cpu);
        }
        let runs = [runs[0].clone(), runs[1].clone(), scaled];
        let new = page_of_scale(&old, &runs).unwrap();
        let rows = "| 3, 1 | 20.0 |  |  |  |  |\n| 3, 2 | 25.0 |  |  |  |  |\n| 12, 1 | 30.0 |";
        assert!(new.contains(rows), "{new}");
        assert!(new.contains("| 1000 | 2.00 |  |  |") && !new.contains("| products |"), "{new}");
        assert!(page(&old, &runs, ALL).unwrap().contains("| 1000 | 2000 |"), "the others stay");
    }

    #[test]
    fn a_picture_has_a_bar_for_each_run_and_rate() {
        let picture = picture(&[run("aaa", 1.0), run("bbb", 1.0)]);
        assert!(picture.contains("aaa at 20/s") && picture.contains("bbb at 20/s"), "{picture}");
        assert!(!picture.contains("at 50/s") && !picture.contains("NaN"));
    }
}
