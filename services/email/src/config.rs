//! Settings of email.

use clap::Parser;
use lettre::message::Mailbox;
use service_kit::CommonConfig;
use std::{fmt, net::SocketAddr, str::FromStr};

/// The default port of the health endpoints.
const PORT: u16 = contracts::ServiceName::Email.spec().port;

/// Mails the customer once an order is settled and can be seen.
#[derive(Clone, Debug, Parser)]
#[command(name = "email", version)]
pub struct Config {
    /// The settings of every service.
    #[command(flatten)]
    pub common: CommonConfig,

    /// Mail server, as host:port. It is spoken to without TLS and without a password, so it
    /// should be a relay on the same host or network.
    #[arg(long, env = "SMTP_ADDR", default_value = "127.0.0.1:1025")]
    pub smtp_addr: SmtpAddr,

    /// The sender of the mails, such as "Murmuration <shop@murmuration.shop>".
    #[arg(
        long,
        env = "MAIL_FROM",
        default_value = "Murmuration <shop@murmuration.shop>",
        value_parser = mailbox
    )]
    pub mail_from: Mailbox,
}

impl Config {
    /// The address to serve health on.
    pub fn addr(&self) -> SocketAddr {
        self.common.http_addr(PORT)
    }
}

/// Where the mail server is: a name or an address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpAddr {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl FromStr for SmtpAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a host and a port, such as 127.0.0.1:1025".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        match port.parse() {
            Ok(port) if !host.is_empty() && port > 0 => Ok(Self { host, port }),
            _ => Err(expected()),
        }
    }
}

impl fmt::Display for SmtpAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|error| {
        format!("{error}; expected an address such as Murmuration <shop@murmuration.shop>")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mail_server_is_a_host_and_a_port() {
        for text in ["127.0.0.1:1025", "mailpit:25", "[::1]:1025"] {
            assert_eq!(text.parse::<SmtpAddr>().unwrap().to_string(), text);
        }
        for text in ["", "mailpit", ":25", "mailpit:0", "mailpit:smtp"] {
            assert!(text.parse::<SmtpAddr>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn an_unusable_sender_is_named_with_the_way_out() {
        let error = Config::try_parse_from(["email", "--mail-from", "nobody"]).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("MAIL_FROM") && error.contains("shop@murmuration.shop"), "{error}");
    }
}
