//! A reader of the runtime that has no right yet: it waits, says why, and goes on when it has it.

use super::broker::Broker;
use contracts::topics::ORDERS;
use streams::{
    Cluster,
    cluster::{Protocol, Settings},
    refusals::Refusal,
};
use streams_kafka::{ThreadHandle, ThreadStatus, spawn_tail};
use tempfile::NamedTempFile;
use testkit::{PATIENCE, wait_for};
use tokio_util::sync::CancellationToken;

const USER: &str = "orders";

/// It ends when it is dropped.
pub struct Reader {
    thread: ThreadHandle,
    stop: CancellationToken,
    _password: NamedTempFile,
}

impl Reader {
    /// A reader that has been told that it may not read.
    pub async fn denied(broker: &Broker) -> Self {
        let password = NamedTempFile::new().unwrap();
        std::fs::write(password.path(), USER).unwrap();
        let settings = Settings {
            protocol: Protocol::SaslPlaintext,
            username: Some(USER.to_owned()),
            password_file: Some(password.path().to_owned()),
            mechanism: Some("PLAIN".to_owned()),
            ca_file: None,
        };
        let cluster = Cluster::new(&broker.bootstrap, settings).unwrap().to_string();
        let (stop, topics) = (CancellationToken::new(), vec![&ORDERS.spec]);
        let thread = spawn_tail(&cluster, "reader", topics, stop.clone(), |_| Ok(()));
        let reader = Self { thread, stop, _password: password };
        let before = Refusal::Right.heard();
        reader.is("denied", |status| {
            matches!(status, ThreadStatus::Waiting(why) if why.contains("Kafka denies it"))
        })
        .await;
        assert!(Refusal::Right.heard() > before, "it is counted");
        reader
    }

    /// It reads, without having been made again.
    pub async fn allowed(self) {
        self.is("at work", |status| matches!(status, ThreadStatus::Running { .. })).await;
    }

    async fn is(&self, what: &str, wanted: impl Fn(&ThreadStatus) -> bool) {
        wait_for(&format!("a reader that is {what}"), PATIENCE, || async {
            let status = self.thread.status().borrow().clone();
            if wanted(&status) { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
