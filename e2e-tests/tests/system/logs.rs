//! What a collector of logs gets: each line of each service is an object of JSON, and each line
//! that belongs to an order names it and its trace.

use crate::traces::{SAMPLED, SERVICES, order, traced};
use e2e_tests::PATIENCE;
use serde_json::Value;
use std::collections::BTreeMap;
use testkit::wait_for;

/// Lines that are none of the service: those of the shop about a process, and what a failpoint
/// says as the last word.
const OTHERS: [&str; 2] = ["--- shop: ", "failpoint "];

fn lines(log: &str) -> Vec<Value> {
    // The log is its end, which may begin within a line.
    let is_other = |line: &&str| OTHERS.iter().any(|other| line.starts_with(other));
    let mut whole: Vec<_> = log.lines().skip(1).filter(|line| !is_other(line)).collect();
    // Its last line may be half written.
    whole.pop_if(|last| serde_json::from_str::<Value>(last).is_err());
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    whole.into_iter().map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_an_order_names_it_and_its_trace_in_every_service() {
    let (shop, _) = traced().await;
    let (trace, order) = order(&shop, "TEA", SAMPLED).await;
    let trace: String = trace.iter().map(|byte| format!("{byte:02x}")).collect();
    shop.confirmed(order).await.unwrap();
    let order = order.to_string();
    wait_for("lines of the order in each service", PATIENCE, || async {
        let mut told: BTreeMap<&str, usize> = BTreeMap::new();
        for service in SERVICES {
            for line in lines(&shop.shop().log(service)) {
                if line["order_id"] == *order && line["trace_id"] == *trace {
                    *told.entry(service).or_default() += 1;
                }
                // Also what is asked of the order in another trace.
                if line.to_string().contains(&order) {
                    assert_eq!(line["order_id"], *order, "{service}: {line}");
                    assert!(line["trace_id"].is_string(), "{service}: {line}");
                }
            }
        }
        if told.len() == SERVICES.len() { Ok(()) } else { Err(told) }
    })
    .await;
}
