//! A mail server that delivers nothing: it takes every mail by SMTP and shows it, on a page and
//! over the part of mailpit's HTTP API that tests and people need, so that the same calls work
//! against either.
//!
//! A mail is kept before its sender hears that it was taken. What is kept is bounded, see the
//! README.

mod http;
mod mailbox;
mod smtp;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use http::{Mails, lock, router};
use mailbox::{BYTES_MAX, Mail, Mailbox};
use smtp::{GREETING, Session};

/// Connections at a time; others wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// The shortest that a server may wait for the next command (RFC 5321, 4.5.3.2.7).
const IDLE_MAX: Duration = Duration::from_secs(5 * 60);
/// Before the next connection is accepted when one could not be: no file descriptor was left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves SMTP and HTTP until `stop`.
///
/// # Errors
/// When an address cannot be listened on.
pub async fn serve(smtp: SocketAddr, http: SocketAddr, stop: CancellationToken) -> Result<()> {
    let listen = async |address: SocketAddr| {
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
    };
    serve_on(listen(smtp).await?, listen(http).await?, stop).await
}

/// [`serve`], on listeners that are there already.
///
/// # Errors
/// When HTTP cannot be served any more.
pub async fn serve_on(smtp: TcpListener, http: TcpListener, stop: CancellationToken) -> Result<()> {
    let mails: Mails = Arc::new(Mutex::new(Mailbox::new(BYTES_MAX)));
    let accepting = tokio::spawn(accept(smtp, Arc::clone(&mails)));
    axum::serve(http, router(mails))
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await?;
    accepting.abort();
    Ok(())
}

async fn accept(listener: TcpListener, mails: Mails) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let place = place.expect("nobody closes the semaphore");
        match listener.accept().await {
            Ok((stream, _)) => {
                let mails = Arc::clone(&mails);
                tokio::spawn(async move {
                    // A client that breaks off is of no interest: it sends the mail again.
                    let _ = converse(stream, &mails).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// One connection, until the client says goodbye, breaks off or falls silent.
async fn converse(mut stream: TcpStream, mails: &Mails) -> Result<()> {
    let (mut session, mut buffer) = (Session::default(), [0; 16 * 1024]);
    stream.write_all(GREETING).await?;
    loop {
        let length = tokio::time::timeout(IDLE_MAX, stream.read(&mut buffer)).await??;
        if length == 0 {
            return Ok(());
        }
        let answer = session.receive(&buffer[..length]);
        for envelope in answer.mails {
            let mail = Mail::read(&envelope, Timestamp::now());
            lock(mails).keep(mail);
        }
        stream.write_all(&answer.replies).await?;
        if answer.close {
            return Ok(());
        }
    }
}
