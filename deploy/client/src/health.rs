//! How the health of a process is seen from outside.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::passfile::place;
use anyhow::{Context, Result, ensure};
use tokio::net::TcpStream;
use tokio::process::Command;

const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// How the health of a process is seen.
#[derive(Clone, Debug)]
pub enum Health {
    /// It accepts connections on this port.
    Tcp(u16),
    /// This URL answers with success.
    Http(String),
    /// It answers `SELECT 1`, asked with this psql.
    Sql {
        /// The psql to ask with.
        psql: PathBuf,
        /// The connection string.
        url: String,
    },
}

impl Health {
    /// Checks once, within two seconds.
    ///
    /// # Errors
    /// With what was seen instead of health.
    pub async fn check(&self) -> Result<()> {
        tokio::time::timeout(CHECK_TIMEOUT, self.look()).await.context("no answer within 2 s")?
    }

    async fn look(&self) -> Result<()> {
        match self {
            Self::Tcp(port) => {
                let connected = TcpStream::connect(("127.0.0.1", *port)).await;
                connected.with_context(|| format!("nobody listens on port {port}")).map(drop)
            }
            Self::Http(url) => {
                // It may have a password.
                let place = place(url);
                let answer = reqwest::get(url).await.with_context(|| format!("GET {place}"))?;
                let status = answer.status();
                ensure!(status.is_success(), "GET {place} answers {status}");
                Ok(())
            }
            Self::Sql { psql, url } => {
                let output = Command::new(psql)
                    .args(["-qtAX", "-c", "SELECT 1", url])
                    .stdin(Stdio::null())
                    .kill_on_drop(true)
                    .output()
                    .await?;
                let stderr = String::from_utf8_lossy(&output.stderr);
                ensure!(output.status.success(), "{}", stderr.trim());
                Ok(())
            }
        }
    }
}
