//! `shop status`, and what a fresh shop suggests to try.

use std::fmt::Write;

use anyhow::Result;

use client::control::Request;
use client::{Found, PartState, PartStatus, State};

/// Prints a table of the parts.
pub(crate) async fn run(shop: &Found) -> Result<()> {
    print!("{}", table(&shop.ask(Request::Status).await?.parts()?));
    Ok(())
}

fn table(parts: &[PartStatus]) -> String {
    let mut out = String::from("PART          PID    PORT  STATE        RESTARTS  MEMORY\n");
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let mut total_mb = 0;
    for part in parts {
        let state = match (part.state, part.healthy) {
            (PartState::Running, Some(true)) => "ready",
            (PartState::Running, _) => "not ready",
            (PartState::Paused, _) => "paused",
            (PartState::Restarting, _) => "restarting",
            (PartState::Stopped, _) => "stopped",
        };
        let pid = or_dash(part.pid.map(|pid| pid.to_string()));
        let memory = or_dash(part.memory_mb.map(|mb| format!("{mb} MB")));
        total_mb += part.memory_mb.unwrap_or(0);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:<12} {pid:>6}  {:>5}  {state:<11}  {:>8}  {memory:>7}",
            part.name, part.port, part.restarts
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
        "\nThe shop is open. Try:\n  \
         ./shop order TEA=2 MUG=1 --customer ada    place an order and follow it\n  \
         curl -XPOST {}/orders -H 'content-type: application/json' \\\n       \
         -d '{{\"customer_id\":\"ada\",\"lines\":[{{\"sku\":\"TEA\",\"quantity\":2}}]}}'\n  \
         {:<42} products with their stock\n  \
         {:<42} the mails it sends\n  \
         ./shop topics | status | logs orders -f    look around\n  \
         ./shop down                                end it\n\n",
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
        let part = |name: &str, state, healthy| PartStatus {
            pid: Some(4711),
            state,
            healthy,
            restarts: 2,
            memory_mb: Some(12),
            ..PartStatus::new(name, 8080)
        };
        let table = table(&[
            part("orders", PartState::Running, Some(true)),
            part("view", PartState::Running, Some(false)),
        ]);
        assert!(table.contains("orders         4711   8080  ready               2    12 MB"));
        assert!(table.contains("not ready") && table.contains("24 MB"), "{table}");
    }
}
