//! What Prometheus needs to know in order to scrape a shop of processes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use contracts::ServiceName;

use crate::processes::service_of;
use crate::state::State;
use crate::status::ProcessStatus;

/// The job of every series: alerts and dashboards go by it. `deploy/prometheus/prometheus.yml` has
/// the same for containers.
pub const JOB: &str = "murmuration";

/// How often a target is scraped and a rule is evaluated, unless it is said otherwise.
pub const INTERVAL: &str = "15s";

/// Every instance of each service: the service, the instance, where it listens. A shop has the
/// address of a service that it does not run, so only those of `processes` count.
fn targets(state: &State, processes: &[ProcessStatus]) -> BTreeMap<(ServiceName, String), String> {
    let mut targets = BTreeMap::new();
    let runs = |name: &str| processes.iter().any(|process| process.name == name);
    for (process, url) in state.urls.iter().filter(|(name, _)| runs(name)) {
        let service = service_of(process).parse();
        if let (Ok(service), Some(address)) = (service, url.strip_prefix("http://")) {
            targets.insert((service, process.clone()), address.to_owned());
        }
    }
    targets
}

/// A configuration of Prometheus that scrapes each instance of a service among `processes`, and
/// loads `rules`.
#[must_use]
pub fn config(state: &State, processes: &[ProcessStatus], rules: &Path, interval: &str) -> String {
    let mut text = format!(
        "global:\n  scrape_interval: {interval}\n  evaluation_interval: {interval}\n\
         rule_files: [{:?}]\n\
         scrape_configs:\n  - job_name: {JOB}\n    static_configs:\n",
        rules.display().to_string()
    );
    for ((service, instance), address) in targets(state, processes) {
        let labels = format!("service: {service}, instance: {instance}");
        let _ = writeln!(text, "      - {{ targets: [\"{address}\"], labels: {{ {labels} }} }}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_of_a_service_is_a_target_and_nothing_else_is() {
        let url = |(name, url): (&str, &str)| (name.to_owned(), url.to_owned());
        let urls = [
            ("orders", "http://127.0.0.1:8080"),
            ("orders-1", "http://127.0.0.1:18100"),
            ("view", "http://127.0.0.1:8084"),
            ("email", "http://127.0.0.1:8083"),
            ("bank", "http://127.0.0.1:8087"),
            ("kafka", "127.0.0.1:9092"),
            ("registry", "http://127.0.0.1:8085/apis/ccompat/v7"),
        ];
        let state = State {
            dir: "/shop".into(),
            pid: 1,
            ports: BTreeMap::new(),
            urls: urls.map(url).into(),
            project: None,
            partitions: 3,
            build: None,
            profile: None,
        };
        let run = ["orders", "orders-1", "view", "bank", "kafka", "registry"];
        let processes = run.map(|name| ProcessStatus::new(name, 1));
        let config = config(&state, &processes, Path::new("/alerts/shop.yml"), INTERVAL);
        let lines = config.lines().filter_map(|line| line.strip_prefix("      - { targets: "));
        let lines: Vec<_> = lines.collect();
        assert_eq!(
            lines,
            [
                r#"["127.0.0.1:8080"], labels: { service: orders, instance: orders } }"#,
                r#"["127.0.0.1:18100"], labels: { service: orders, instance: orders-1 } }"#,
                r#"["127.0.0.1:8084"], labels: { service: view, instance: view } }"#,
            ]
        );
        assert!(config.contains(r#"rule_files: ["/alerts/shop.yml"]"#), "{config}");
    }
}
