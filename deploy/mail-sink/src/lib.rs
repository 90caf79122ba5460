//! A mail server that delivers nothing: it takes every mail by SMTP and shows it, on a page and
//! over the part of mailpit's HTTP API that tests and people need, so that the same calls work
//! against either. `PUT /faults` makes it behave as mail servers do on a bad day.
//!
//! A mail is kept before its sender hears that it was taken. What is kept is bounded, see the
//! README.

mod faults;
mod http;
mod mailbox;
mod smtp;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use faults::{Nothing, Weather};
use http::{Sink, lock, router};
use mailbox::{BYTES_MAX, Mail, Mailbox};
use smtp::{Answer, Session};

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
    let mailbox = Mutex::new(Mailbox::new(BYTES_MAX));
    let sink = Arc::new(Sink { mailbox, weather: Mutex::new(Weather::default()) });
    let accepting = tokio::spawn(accept(smtp, Arc::clone(&sink)));
    axum::serve(http, router(sink))
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await?;
    accepting.abort();
    Ok(())
}

async fn accept(listener: TcpListener, sink: Arc<Sink>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let place = place.expect("nobody closes the semaphore");
        match listener.accept().await {
            Ok((stream, _)) => {
                let sink = Arc::clone(&sink);
                tokio::spawn(async move {
                    // A client that breaks off is of no interest: it sends the mail again.
                    let _ = converse(stream, &sink).await;
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
async fn converse(mut stream: TcpStream, sink: &Sink) -> Result<()> {
    let (mut session, mut buffer) = (Session::default(), [0; 16 * 1024]);
    let mut answer = Session::greet(&mut lock(&sink.weather));
    while give(answer, &mut stream, sink).await? {
        let length = read(&mut stream, &mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        answer = session.receive(&buffer[..length], &mut lock(&sink.weather), Instant::now());
    }
    Ok(())
}

/// Keeps the mails of `answer` and says it. Whether the conversation goes on.
async fn give(answer: Answer, stream: &mut TcpStream, sink: &Sink) -> Result<bool> {
    let Answer { replies, mails, pause, end } = answer;
    for envelope in mails {
        let mail = Mail::read(&envelope, Timestamp::now());
        lock(&sink.mailbox).keep(mail);
    }
    // Even a sleep of nothing ends with the timer's next millisecond: half of what a mail took.
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    stream.write_all(&replies).await?;
    if end == Some(Nothing::Silence) {
        let mut ignored = [0; 16 * 1024];
        while read(stream, &mut ignored).await? > 0 {}
    }
    Ok(end.is_none())
}

async fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize> {
    Ok(tokio::time::timeout(IDLE_MAX, stream.read(buffer)).await??)
}
