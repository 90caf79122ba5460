//! Goal: the simulation can be watched, disturbed, shared and kept, by each person, without a
//! server of the shop.

#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

#[path = "../../tests/system/browser.rs"]
#[allow(dead_code, reason = "the pages of a shop need more of it")]
mod browser;

use browser::Browser;
use serde_json::{Value, json};
use std::{path::Path, process::Stdio, time::Duration};
use testkit::wait_for;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// How long a condition may take to come true, on a machine that has other work.
const PATIENCE: Duration = Duration::from_secs(90);

/// The narrowest and the widest window that the page is made for.
const WINDOWS: [(u32, u32); 2] = [(360, 800), (1600, 1000)];

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_play"));
    program.env_remove("PLAY_PORT").kill_on_drop(true);
    program
}

/// A server of the page. It ends with this value.
struct Playing {
    address: String,
    _server: Child,
}

impl Playing {
    async fn start() -> Self {
        let mut server =
            program().args(["--port", "0"]).stdout(Stdio::piped()).spawn().expect("play starts");
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("play says its address");
        let address = line.split(' ').find(|word| word.starts_with("http")).unwrap();
        Self { address: address.trim_end_matches('/').to_owned(), _server: server }
    }

    /// A browser at this address of the page.
    async fn browser(&self, address: &str) -> Browser {
        Browser::at(&format!("{}/{address}", self.address)).await
    }
}

async fn assert_no_error(browser: &Browser) {
    assert_eq!(browser.errors().await, [] as [Value; 0], "errors on the console");
}

/// Where the clock is, in steps.
async fn step(browser: &Browser) -> u64 {
    let value = "return Number(document.getElementById('head').value)";
    browser.run(value, json!([])).await.as_u64().unwrap()
}

/// Wait until the clock has come to this step.
async fn reach(browser: &Browser, least: u64) {
    wait_for(&format!("step {least}"), PATIENCE, || async {
        let at = step(browser).await;
        if at >= least { Ok(()) } else { Err(at) }
    })
    .await;
}

/// Wait until the clock stands; where.
async fn stopped(browser: &Browser) -> u64 {
    browser.until(".run", "Run").await;
    step(browser).await
}

async fn choose(browser: &Browser, select: &str, value: &str) {
    browser.click(&format!("{select} option[value='{value}']")).await;
}

/// What the page shows at its moment.
async fn shown(browser: &Browser) -> Value {
    let state = "
        const text = (css) => [...document.querySelectorAll(css)].map((one) => one.textContent);
        return [text('.time'), text('.log li'), text('.law'), text('.wrong li'), text('.held')]";
    browser.run(state, json!([])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_ends_with_a_bug_that_is_caught() {
    let playing = Playing::start().await;
    let browser = playing.browser("").await;
    browser.click("#tour .go").await;
    for step in 1..6 {
        browser.until("#tour .step-of", &format!("{step} of 6")).await;
        // What the step shows is there when its clock stands.
        browser.until(".run", "Run").await;
        assert_eq!(browser.text(".violation").await, "", "step {step}");
        browser.click("#tour .go").await;
    }
    browser.until("#tour .step-of", "6 of 6").await;
    browser.until(".violation[data-law='one capture'] h3", "one capture").await;
    browser.find(".law.broken[data-law='one capture']").await;
    let story = browser.until(".violation .story", "bank capture").await;
    assert_eq!(story.matches("bank capture").count(), 2, "{story}");
    browser.picture("play-caught.png").await;
    assert_no_error(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_strikes_and_the_shop_recovers_from_it() {
    let playing = Playing::start().await;
    let browser = playing.browser("?seed=11&t=3000").await;
    reach(&browser, 3000).await;
    choose(&browser, "#where", "orders").await;
    browser.click("[data-fault=crash]").await;
    browser.until(".wrong", "Crash here: orders").await;
    browser.find(".node.down[data-name=orders]").await;
    // It comes back, and so do the orders.
    browser.until(".wrong", "orders starts").await;
    browser.find(".node:not(.down)[data-name=orders]").await;
    let address = browser.address().await;
    assert!(address.contains("presses=3") && address.contains(".crash.orders"), "{address}");
    for fault in ["lost-answer", "freeze", "disk-lost", "decline", "duplicate", "late-money"] {
        browser.click(&format!("[data-fault={fault}]")).await;
    }
    browser.click("[data-fault=clock-jump]").await;
    browser.until(".wrong", "Clock jump").await;
    choose(&browser, "#speed", "5000").await;
    browser.until(".verdict", "Every law holds").await;
    assert_no_error(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_stops_steps_slows_down_and_turns_back() {
    let playing = Playing::start().await;
    let browser = playing.browser("?seed=11").await;
    reach(&browser, 1_000).await;
    browser.click(".run").await;
    let at = stopped(&browser).await;
    browser.click(".step-on").await;
    let said = browser.until("#deck .said", " s: ").await;
    let next = step(&browser).await;
    assert!(next > at, "from {at} to {next}: {said}");
    assert_eq!(stopped(&browser).await, next, "a step does not start the clock");

    choose(&browser, "#speed", "50").await;
    let rate = "
        const done = arguments[arguments.length - 1], head = document.getElementById('head');
        document.querySelector('.run').click();
        const from = Number(head.value), began = performance.now();
        setTimeout(() => {
            const rate = (Number(head.value) - from) / ((performance.now() - began) / 1000);
            document.querySelector('.run').click();
            done(rate);
        }, 1000);";
    let slow = browser.run_async(rate, json!([])).await.as_f64().unwrap();
    assert!(slow > 0.0 && slow < 100.0, "{slow} steps in a second");

    let back = "
        const head = document.getElementById('head');
        head.value = 500;
        head.dispatchEvent(new Event('input'));";
    browser.run(back, json!([])).await;
    browser.until(".time", "step 500").await;
    assert_no_error(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_address_shows_the_same_moment() {
    let address = "?seed=11&presses=2000.crash.payments_5000.clock-jump&t=9000#/choreography";
    let [first, second] = [Playing::start().await, Playing::start().await];
    let [one, other] = [first.browser(address).await, second.browser(address).await];
    for browser in [&one, &other] {
        browser.until(".time", "step 9,000").await;
        browser.until(".log", "OrderConfirmed").await;
        browser.until(".wrong", "Clock jump").await;
    }
    // The newest birds take a moment to land.
    wait_for("the same on both pages", PATIENCE, || async {
        let (one, other) = (shown(&one).await, shown(&other).await);
        if one == other { Ok(()) } else { Err((one, other)) }
    })
    .await;
    assert_no_error(&one).await;
    assert_no_error(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_file_plays_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.html");
    let run = "seed=11&orders=6&presses=3000.crash.payments";
    let recorded = program().arg("--record").arg(&file).args(["--run", run]).output().await;
    let recorded = recorded.unwrap();
    assert!(recorded.status.success(), "{}", String::from_utf8_lossy(&recorded.stderr));
    let browser = Browser::at(&format!("file://{}", file.display())).await;
    browser.click(".run").await;
    browser.until(".log", "OrderConfirmed").await;
    choose(&browser, "#speed", "5000").await;
    browser.until(".wrong", "payments is dead").await;
    browser.until(".run", "From the beginning").await;
    browser.until(".verdict", "Every law holds").await;
    browser.click("nav a[href='#/orders']").await;
    browser.click(".flight-link").await;
    browser.find(".steps li:nth-child(4)").await;
    browser.until(".json", "\"order_id\"").await;
    assert_eq!(browser.faults().await, [""; 0]);
    let asked = "return performance.getEntriesByType('resource').map(({ name }) => name)
        .filter((name) => !name.startsWith('data:'))";
    assert_eq!(browser.run(asked, json!([])).await, json!([]), "it asks for nothing");
    assert_no_error(&browser).await;
}

/// Most bytes of a file that is kept in the repository.
const FILE_BYTES_MAX: u64 = 300_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_the_docs_play() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/play").canonicalize();
    let folder = folder.unwrap();
    for (name, seen, verdict) in [
        ("crash.html", "payments starts", "Every law holds"),
        ("caught.html", "bank answer lost", "A law is broken"),
    ] {
        let file = folder.join(name);
        let bytes = file.metadata().unwrap().len();
        assert!(bytes <= FILE_BYTES_MAX, "{name} has {bytes} bytes");
        let browser = Browser::at(&format!("file://{}", file.display())).await;
        browser.click("#speed option[value='5000']").await;
        browser.click(".run").await;
        browser.until(".run", "From the beginning").await;
        browser.until(".wrong", seen).await;
        browser.until(".verdict", verdict).await;
        assert_no_error(&browser).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_screen_can_be_used_by_each_at_both_widths_in_light_and_dark() {
    let playing = Playing::start().await;
    let caught = "?seed=11&mutation=no-bank-key&presses=3600.lost-answer.payments&t=6600";
    let browser = playing.browser("").await;
    let mut broken = Vec::new();
    for (screen, address, there) in [
        ("beginning", "?seed=11".to_owned(), ".node"),
        ("sky", "?seed=11&presses=7000.crash.inventory&t=7050".to_owned(), ".node.down"),
        ("caught", caught.to_owned(), ".violation .story"),
        ("orders", format!("{caught}#/orders"), ".flight-link"),
        ("wrong", "?seed=11&weather=rain".to_owned(), ".trouble"),
    ] {
        browser.goto(&format!("{}/{address}", playing.address)).await;
        browser.find(there).await;
        look_at(&browser, screen, &mut broken).await;
    }
    browser.goto(&format!("{}/{caught}", playing.address)).await;
    browser.click(".violation a").await;
    browser.find(".remark.bad").await;
    look_at(&browser, "order", &mut broken).await;
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let errors = browser.errors().await;
    // The run that cannot be made is an answer of 400, which the console tells of.
    let others = errors.iter().filter(|error| !error.to_string().contains("weather=rain"));
    assert_eq!(others.count(), 0, "{errors:?}");
}

async fn look_at(browser: &Browser, screen: &str, broken: &mut Vec<String>) {
    for (width, height) in WINDOWS {
        for scheme in ["light", "dark"] {
            let name = format!("play-{screen}-{width}-{scheme}");
            browser.look(width, height, scheme).await;
            let faults = browser.faults().await;
            broken.extend(faults.into_iter().map(|fault| format!("{name}: {fault}")));
            let beyond = "return document.documentElement.scrollWidth - innerWidth";
            let beyond = browser.run(beyond, json!([])).await.as_i64().unwrap();
            if beyond > 0 {
                broken.push(format!("{name} is wider than the window by {beyond} pixels"));
            }
            browser.picture(&format!("{name}.png")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_and_a_run_that_cannot_be_say_what_to_do() {
    let playing = Playing::start().await;
    let port = playing.address.rsplit(':').next().unwrap();
    for (arguments, why) in [
        (["--port", port], "choose another one with --port"),
        (["--run", "mutation=no-sleep"], "there is no mutation `no-sleep`"),
        (["--record", "no-such-folder/run.html"], "--record no-such-folder/run.html"),
    ] {
        let output = program().args(arguments).output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(why), "{told}");
    }
}
