//! `shop status`, and what a fresh shop suggests to try.

use std::fmt::Write;

use anyhow::Result;

use client::control::Request;
use client::{Found, ProcessState, ProcessStatus, State};

/// Prints a table of the processes.
pub(crate) async fn run(shop: &Found) -> Result<()> {
    print!("{}", table(&shop.ask(Request::Status).await?.processes()?));
    Ok(())
}

fn table(processes: &[ProcessStatus]) -> String {
    let mut out = String::from("PROCESS       PID    PORT  STATE        RESTARTS  MEMORY\n");
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let mut total_mb = 0;
    for process in processes {
        let state = match (process.state, process.healthy) {
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
    format!(
        "\nThe shop is open, in {} builds. Try:\n  \
         ./shop order TEA=2 MUG=1 --customer ada    place an order and follow it\n  \
         curl -XPOST {}/orders -H 'content-type: application/json' \\\n       \
         -d '{{\"customer_id\":\"ada\",\"lines\":[{{\"sku\":\"TEA\",\"quantity\":2}}]}}'\n  \
         {:<42} products with their stock\n  \
         {:<42} the mails it sends\n  \
         ./shop topics | status | logs orders -f    look around\n  \
         ./shop down                                end it\n\n",
        state.build.as_deref().unwrap_or("unknown"),
        url("orders"),
        format!("{}/products", url("view")),
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
        let table = table(&[
            process("orders", ProcessState::Running, Some(true)),
            process("view", ProcessState::Running, Some(false)),
        ]);
        assert!(table.contains("orders         4711   8080  ready               2    12 MB"));
        assert!(table.contains("not ready") && table.contains("24 MB"), "{table}");
    }
}
