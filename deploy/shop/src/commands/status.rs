//! `shop status`, and what a fresh shop suggests to try.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use anyhow::Result;
use capture::Addresses;
use client::control::Request;
use client::{Found, ProcessState, ProcessStatus, SERVICES, State, service_of};
use serde::Deserialize;

/// Prints a table of the processes, whom the shop lets in, and what is wrong with the processes and
/// with change data capture.
pub(crate) async fn run(shop: &Found) -> Result<()> {
    let processes = shop.ask(Request::Status).await?.processes()?;
    // A shop that is not ready yet has no addresses.
    let Ok(state) = shop.state() else {
        return table(shop).await;
    };
    let (troubles, captured) = tokio::join!(troubles(&processes, &state), capture(&state));
    print!("{}", lines(&processes, &troubles));
    state.profile.iter().for_each(|profile| println!("{profile}"));
    for (process, trouble) in &troubles {
        trouble.checks.iter().for_each(|check| println!("{process}: {check}"));
    }
    captured.iter().for_each(|finding| println!("{finding}"));
    Ok(())
}

/// Prints the table of the processes alone.
pub(crate) async fn table(shop: &Found) -> Result<()> {
    let processes = shop.ask(Request::Status).await?.processes()?;
    print!("{}", lines(&processes, &BTreeMap::new()));
    Ok(())
}

/// What is wrong with the change data capture of a shop in which Connect shall run.
async fn capture(state: &State) -> Vec<String> {
    let Ok(addresses) = Addresses::of(state) else { return Vec::new() };
    let seen = capture::look(&addresses).await;
    seen.iter().flat_map(|seen| &seen.findings).map(ToString::to_string).collect()
}

/// What a service says of itself.
#[derive(Debug)]
struct Trouble {
    /// It works all the same.
    is_ready: bool,
    /// Each check that is not up, and why.
    checks: Vec<String>,
}

/// What the services say that run and are not well.
async fn troubles(processes: &[ProcessStatus], state: &State) -> BTreeMap<String, Trouble> {
    let mut troubles = BTreeMap::new();
    for process in processes.iter().filter(|process| process.state == ProcessState::Running) {
        let Some(url) = state.urls.get(&process.name) else { continue };
        if !SERVICES.contains(&service_of(&process.name)) {
            continue;
        }
        if let Ok(trouble) = trouble(url).await
            && !trouble.checks.is_empty()
        {
            troubles.insert(process.name.clone(), trouble);
        }
    }
    troubles
}

async fn trouble(url: &str) -> Result<Trouble> {
    #[derive(Deserialize)]
    struct Report {
        checks: Vec<Check>,
    }
    #[derive(Deserialize)]
    struct Check {
        name: String,
        status: String,
        detail: Option<String>,
    }
    const TIMEOUT: Duration = Duration::from_secs(2);
    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let answer = client.get(format!("{url}/health/ready")).send().await?;
    let is_ready = answer.status().is_success();
    let report: Report = answer.json().await?;
    let troubled = report.checks.into_iter().filter(|check| check.status != "up");
    let checks = troubled.map(|Check { name, status, detail }| {
        format!("{name} is {status}: {}", detail.unwrap_or_default())
    });
    Ok(Trouble { is_ready, checks: checks.collect() })
}

fn lines(processes: &[ProcessStatus], troubles: &BTreeMap<String, Trouble>) -> String {
    let mut out = String::from("PROCESS       PID    PORT  STATE        RESTARTS  MEMORY\n");
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let mut total_mb = 0;
    for process in processes {
        let state = match (process.state, process.healthy) {
            (ProcessState::Running, Some(true))
                if troubles.get(&process.name).is_some_and(|trouble| trouble.is_ready) =>
            {
                "degraded"
            }
            (ProcessState::Running, Some(true)) => "ready",
            (ProcessState::Running, _) => "not ready",
            (ProcessState::Paused, _) => "paused",
            (ProcessState::Restarting, _) => "restarting",
            (ProcessState::Stopped, _) => "stopped",
        };
        let pid = or_dash(process.pid.map(|pid| pid.to_string()));
        let memory = or_dash(process.memory_mb.map(|mb| format!("{mb} MB")));
        total_mb += process.memory_mb.unwrap_or(0);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:<12} {pid:>6}  {:>5}  {state:<11}  {:>8}  {memory:>7}",
            process.name, process.port, process.restarts
        );
    }
    let _ = writeln!(
        out,
        "{:<12} {:>6}  {:>5}  {:<11}  {:>8}  {total_mb:>4} MB",
        "all", "", "", "", ""
    );
    out
}

/// What to try next, with this shop's addresses.
pub(crate) fn what_next(state: &State) -> String {
    let url = |name: &str| state.urls.get(name).map_or("", String::as_str);
    let workshop = match state.urls.get("workshop") {
        Some(_) => format!(
            "{:<42} break it, and see what holds\n  ",
            format!("{}/#/workshop", url("view"))
        ),
        None => String::new(),
    };
    format!(
        "\nThe shop is open, in {} builds. Try:\n  \
         ./shop order TEA=2 MUG=1 --customer ada    place an order and follow it\n  \
         curl -XPOST {}/orders -H 'content-type: application/json' \\\n       \
         -d '{{\"customer_id\":\"ada\",\"lines\":[{{\"sku\":\"TEA\",\"quantity\":2}}]}}'\n  \
         {:<42} the shop in a browser\n  \
         {workshop}{:<42} the mails it sends\n  \
         ./shop topics | status | logs orders -f    look around\n  \
         ./shop down                                end it\n\n",
        state.build.as_deref().unwrap_or("unknown"),
        url("orders"),
        url("view"),
        url("mail"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_who_is_ready() {
        let process = |name: &str, state, healthy| ProcessStatus {
            pid: Some(4711),
            state,
            healthy,
            restarts: 2,
            memory_mb: Some(12),
            ..ProcessStatus::new(name, 8080)
        };
        let degraded = Trouble { is_ready: true, checks: vec!["catalog.capture".to_owned()] };
        let troubles = BTreeMap::from([("inventory".to_owned(), degraded)]);
        let processes = [
            process("orders", ProcessState::Running, Some(true)),
            process("inventory", ProcessState::Running, Some(true)),
            process("view", ProcessState::Running, Some(false)),
        ];
        let table = lines(&processes, &troubles);
        assert!(table.contains("orders         4711   8080  ready               2    12 MB"));
        assert!(table.contains("inventory      4711   8080  degraded            2    12 MB"));
        assert!(table.contains("not ready") && table.contains("36 MB"), "{table}");
    }
}
