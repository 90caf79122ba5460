//! The signals and requests that end a shop.

use std::pin::Pin;

use anyhow::Result;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

/// Resolves, with the reason, when the shop shall end: by a signal; by the end of stdin, when
/// `until_stdin_closes`; or when its terminal is gone, unless it is `detached`.
///
/// # Errors
/// When the system does not hand out signals.
pub fn told_to_end(
    until_stdin_closes: bool,
    detached: bool,
) -> Result<Pin<Box<dyn Future<Output = &'static str> + Send>>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let stdin_closed = async move {
        if !until_stdin_closes {
            std::future::pending::<()>().await;
        }
        let mut stdin = tokio::io::stdin();
        let mut buffer = [0; 64];
        // An error is an end as well.
        while stdin.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
    };
    let hung_up = async move {
        loop {
            hangup.recv().await;
            if !detached {
                return;
            }
        }
    };
    Ok(Box::pin(async move {
        tokio::select! {
            _ = interrupt.recv() => "interrupted",
            _ = terminate.recv() => "terminated",
            () = hung_up => "the terminal is gone",
            () = stdin_closed => "stdin is closed",
        }
    }))
}
