//! The life of a process: start the runtime, run the service, stop it in order.

use std::{future::Future, process::ExitCode, time::Duration};

use anyhow::{Context, anyhow};
use nix::sys::signal::Signal;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{config, telemetry::Telemetry};
use streams::limits;

/// Cancelled when the process is asked to stop; hand a clone to everything that loops or waits.
pub type Shutdown = CancellationToken;

/// Handlers mostly wait, so two workers carry a service; more would only cost memory.
const WORKER_THREADS: usize = 2;

/// Bounds the threads behind file access and name resolution.
const BLOCKING_THREADS_MAX: usize = 16;

/// How long a service may take to finish once it was asked to: longer than
/// [`Lifecycle`](crate::Lifecycle) waits for its parts, less than the 15 s until it is killed.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(14);

/// How long unawaited blocking tasks may delay the end of the process.
const RUNTIME_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs a service until it ends by itself or by SIGTERM or SIGINT (a second one ends it at once),
/// flushes telemetry and tells how it went: 0, or 1 with the chain of causes logged once.
///
/// Return the result from `main`, and start the telemetry before.
pub fn run<F, S>(telemetry: Telemetry, service: S) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
    S: FnOnce(Shutdown) -> F,
{
    let name = telemetry.service();
    tell_start(name);
    let result = runtime().and_then(|runtime| {
        let result = runtime.block_on(async {
            let shutdown = Shutdown::new();
            watch_signals(shutdown.clone())?;
            until_stopped(service(shutdown.clone()), &shutdown).await
        });
        runtime.shutdown_timeout(RUNTIME_TIMEOUT);
        result
    });
    let code = match result {
        Ok(()) => {
            tracing::info!("{name} has stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!("{name} has failed: {error:#}");
            ExitCode::FAILURE
        }
    };
    telemetry.shutdown();
    code
}

/// What a reader of the log asks first: which settings the process has, and which limits hold.
fn tell_start(name: &str) {
    let version = env!("CARGO_PKG_VERSION");
    let list = |of: &mut dyn Iterator<Item = String>| of.collect::<Vec<_>>().join(" ");
    let settings = config::settings();
    if !settings.is_empty() {
        let settings = list(&mut settings.iter().map(|(name, value)| format!("{name}={value}")));
        tracing::info!("{name} {version} starts with {settings}");
    }
    let limits = list(&mut limits::all().iter().map(|(name, value)| format!("{name}={value}")));
    tracing::info!("limits of the runtime: {limits}");
}

fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build()
        .context("cannot start the async runtime")
}

fn watch_signals(shutdown: Shutdown) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch SIGINT")?;
    // By default, a write beyond a limit on the size of files ends the process. It is an error like
    // that of a full disk; to be watched is enough for the write to return it.
    let too_large = SignalKind::from_raw(Signal::SIGXFSZ as i32);
    let mut too_large = signal(too_large).context("cannot watch SIGXFSZ")?;
    tokio::spawn(async move { while too_large.recv().await.is_some() {} });
    tokio::spawn(async move {
        for already_asked in [false, true] {
            let (name, exit_code) = tokio::select! {
                _ = terminate.recv() => ("SIGTERM", 143),
                _ = interrupt.recv() => ("SIGINT", 130),
            };
            if already_asked {
                tracing::warn!("{name} again: stopping without finishing");
                std::process::exit(exit_code);
            }
            tracing::info!("{name}: stopping");
            shutdown.cancel();
        }
    });
    Ok(())
}

/// Awaits the service, and not for ever once it was asked to stop.
async fn until_stopped(
    service: impl Future<Output = anyhow::Result<()>>,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let mut service = std::pin::pin!(service);
    tokio::select! {
        result = &mut service => return result,
        () = shutdown.cancelled() => {}
    }
    timeout(SHUTDOWN_TIMEOUT, service)
        .await
        .unwrap_or_else(|_| Err(anyhow!("did not stop within {} s", SHUTDOWN_TIMEOUT.as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_service_that_does_not_stop_is_given_up() {
        let shutdown = Shutdown::new();
        shutdown.cancel();
        let error = until_stopped(std::future::pending(), &shutdown).await.unwrap_err();
        assert_eq!(error.to_string(), "did not stop within 14 s");
    }

    #[tokio::test]
    async fn a_service_may_finish_its_work_after_it_was_asked_to_stop() {
        let shutdown = Shutdown::new();
        shutdown.cancel();
        let service = async {
            tokio::task::yield_now().await;
            Ok(())
        };
        assert!(until_stopped(service, &shutdown).await.is_ok());
    }
}
