//! [`Proxy`]: a TCP proxy whose connections can fall silent, as when a machine is gone and no
//! packet says so.

use anyhow::{Context, Result};
use std::net::SocketAddr;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// Passes everything on to a server, until it is told to be silent. Ends with its handle, but for
/// the connections that there are.
pub struct Proxy {
    address: SocketAddr,
    silence: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy in front of `server`, which is `host:port`, on a free port. Call it in a runtime.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn before(server: impl Into<String>) -> Result<Self> {
        let server = server.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
        let address = listener.local_addr()?;
        let (silence, silent) = watch::channel(());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut silent = silent.clone();
                // What was silenced before is not about this one.
                silent.mark_unchanged();
                tokio::spawn(pass(client, server.clone(), silent));
            }
        });
        Ok(Self { address, silence, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the connections that there are stay open, and nothing passes. New ones work.
    pub fn silence(&self) {
        self.silence.send_replace(());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(mut client: TcpStream, server: String, mut silent: watch::Receiver<()>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        // First: what is sent after the silence began does not slip through on a busy machine.
        biased;
        Ok(()) = silent.changed() => std::future::pending().await,
        _ = copy_bidirectional(&mut client, &mut server) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::timeout,
    };

    #[tokio::test]
    async fn what_was_there_falls_silent_and_what_is_new_works() {
        let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::before(echo.local_addr().unwrap().to_string()).await.unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = echo.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        let answers = async |stream: &mut TcpStream, patience| {
            stream.write_all(b"?").await.unwrap();
            timeout(patience, stream.read_u8()).await.is_ok()
        };
        let (patience, moment) = (Duration::from_secs(20), Duration::from_millis(100));
        let mut old = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(answers(&mut old, patience).await);
        proxy.silence();
        assert!(!answers(&mut old, moment).await);
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(answers(&mut new, patience).await);
    }
}
