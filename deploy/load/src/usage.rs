//! [`Usage`]: the processor time and the memory of a shop's processes over a while.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use client::control::Request;
use client::{Found, ProcessStatus, service_of};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// What the processes of a shop have used up to a moment.
#[derive(Clone, Debug)]
pub struct Meter {
    at: Instant,
    processes: Vec<ProcessStatus>,
    own_ms: u64,
}

impl Meter {
    /// Reads what has been used up to now.
    ///
    /// # Errors
    /// When the shop does not answer.
    pub async fn read(shop: &Found) -> Result<Self> {
        let processes = shop.ask(Request::Status).await?.processes()?;
        Ok(Self { at: Instant::now(), processes, own_ms: own_cpu_ms() })
    }

    /// What was used since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Usage {
        let mut services = BTreeMap::<String, Used>::new();
        for process in &self.processes {
            let used = services.entry(service_of(&process.name).to_owned()).or_default();
            used.memory_mb += process.memory_mb.unwrap_or(0);
            used.cpu_ms += cpu_since(process, &before.processes);
        }
        let told = self.processes.iter().any(|process| process.cpu_ms.is_some());
        let client_ms = self.own_ms.saturating_sub(before.own_ms);
        Usage { over: self.at - before.at, services, client_ms, told }
    }
}

/// A process that was started meanwhile has used all its time meanwhile.
fn cpu_since(process: &ProcessStatus, before: &[ProcessStatus]) -> u64 {
    let same = |old: &&ProcessStatus| old.name == process.name && old.run == process.run;
    let at_first = before.iter().find(same).and_then(|old| old.cpu_ms).unwrap_or(0);
    process.cpu_ms.unwrap_or(0).saturating_sub(at_first)
}

/// Of this process. The call can fail for an unknown `who` alone.
fn own_cpu_ms() -> u64 {
    let used = getrusage(UsageWho::RUSAGE_SELF)
        .map_or(0, |usage| (usage.user_time() + usage.system_time()).num_milliseconds());
    u64::try_from(used).unwrap_or(0)
}

/// What one service or server has used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Used {
    /// Processor time in milliseconds.
    pub cpu_ms: u64,
    /// Memory in MB at the end.
    pub memory_mb: u64,
}

/// What a shop has used over a while.
#[derive(Clone, Debug)]
pub struct Usage {
    /// How long the while was.
    pub over: Duration,
    /// By service or server; the instances of a service together.
    pub services: BTreeMap<String, Used>,
    /// Processor time of this process, the client.
    pub client_ms: u64,
    /// Whether the processes say what they use; containers do not.
    told: bool,
}

impl Usage {
    /// Processor time of the whole shop in milliseconds, without that of the client.
    #[must_use]
    pub fn cpu_ms(&self) -> u64 {
        self.services.values().map(|used| used.cpu_ms).sum()
    }

    /// A table, the greediest first; `orders` is what the time was for. Empty when nothing is
    /// known.
    #[must_use]
    pub fn table(&self, orders: usize) -> String {
        if !self.told {
            return String::new();
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let (seconds, per) = (|ms: u64| ms as f64 / 1e3, orders.max(1) as f64 / 1e3);
        let mut rows: Vec<_> = self.services.iter().collect();
        rows.sort_by_key(|(_, used)| std::cmp::Reverse(used.cpu_ms));
        let mut out = String::from("CPU                  s  s per 1,000 orders     MB\n");
        let mut line = |name: &str, ms: u64, memory: String| {
            let cpu = seconds(ms);
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{name:<14} {cpu:>7.2} {:>19.2} {memory:>6}", cpu / per);
        };
        for (name, used) in rows {
            line(name, used.cpu_ms, used.memory_mb.to_string());
        }
        let memory: u64 = self.services.values().map(|used| used.memory_mb).sum();
        line("all", self.cpu_ms(), memory.to_string());
        line("this client", self.client_ms, String::new());
        let cores = seconds(self.cpu_ms()) / self.over.as_secs_f64().max(f64::EPSILON);
        let _ =
            writeln!(out, "               {cores:.2} cores over {:.1} s", self.over.as_secs_f64());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(name: &str, run: &str, cpu_ms: u64) -> ProcessStatus {
        ProcessStatus {
            run: Some(run.to_owned()),
            cpu_ms: Some(cpu_ms),
            memory_mb: Some(10),
            ..ProcessStatus::new(name, 8080)
        }
    }

    fn meter(at: Instant, processes: Vec<ProcessStatus>) -> Meter {
        Meter { at, processes, own_ms: 7 }
    }

    #[test]
    fn what_was_used_before_does_not_count_unless_the_process_is_a_new_run() {
        let at = Instant::now();
        let before = vec![process("orders", "a", 1_000), process("view", "b", 500)];
        let after = vec![
            process("orders", "a", 1_400),
            process("orders-1", "c", 100),
            process("view", "d", 300),
        ];
        let usage = meter(at + Duration::from_secs(2), after).since(&meter(at, before));
        assert_eq!(usage.services["orders"], Used { cpu_ms: 500, memory_mb: 20 });
        assert_eq!(usage.services["view"], Used { cpu_ms: 300, memory_mb: 10 });
        assert_eq!(usage.cpu_ms(), 800);
        let table = usage.table(100);
        assert!(table.contains("0.50") && table.contains("5.00"), "{table}");
        assert!(table.contains("0.40 cores over 2.0 s"), "{table}");
    }

    #[test]
    fn containers_say_nothing_and_so_does_the_table() {
        let at = Instant::now();
        let silent = ProcessStatus { cpu_ms: None, ..process("orders", "a", 0) };
        let meter = meter(at, vec![silent]);
        assert_eq!(meter.since(&meter).table(10), "");
    }
}
