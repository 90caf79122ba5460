//! The example of the runtime's README, on a real Kafka: a service that is no part of the shop.

#[path = "../../../shared/streams-kafka/examples/meters.rs"]
mod meters;

use crate::support::{Bench, DEADLINE};
use meters::{Meters, READINGS, Reading, TOTALS};
use streams::lineage::Cause;
use streams_kafka::{Sender, read_topic};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn meters_are_summed_exactly_once_through_a_restart() {
    let bench = Bench::start("meters").await;
    let sender: Sender<Meters> = Sender::new(&bench.bootstrap, bench.codec.clone()).unwrap();
    for expected in [6, 12] {
        let stop = CancellationToken::new();
        let running = meters::run(&bench.bootstrap, &bench.registry, stop.clone()).await.unwrap();
        for kwh in [1, 2, 3] {
            let (meter, reading) = ("m-1".to_owned(), Reading { meter: "m-1".into(), kwh });
            sender.send(&READINGS, &meter, &reading, Cause::default()).await.unwrap();
        }
        testkit::wait_for("the sum", DEADLINE, || async {
            let total = last_total(&bench).await;
            if total == Some(expected) { Ok(()) } else { Err(total) }
        })
        .await;
        stop.cancel();
        running.stopped().await.unwrap();
    }
}

async fn last_total(bench: &Bench) -> Option<i64> {
    let (bootstrap, codec) = (bench.bootstrap.clone(), bench.codec.clone());
    let read = tokio::task::spawn_blocking(move || {
        let mut last = None;
        read_topic(&bootstrap, &TOTALS.spec, |record| {
            let total = codec.decode(&TOTALS, record.value.as_deref().unwrap_or_default());
            let total = total.map_err(anyhow::Error::msg)?;
            anyhow::ensure!(total.meter == "m-1", "another meter: {total:?}");
            last = Some(total.kwh);
            Ok(())
        })
        .map(|()| last)
    });
    read.await.expect("no panic").expect("the topic can be read")
}
