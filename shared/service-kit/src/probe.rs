//! `--healthcheck`: the service's own program asks for a container's health, so that the image
//! needs neither a shell nor curl.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use clap::{Arg, ArgAction, ArgMatches, Command};

/// The id of the flag, and its long name.
const FLAG: &str = "healthcheck";
/// The setting that says where the service listens: all services have it under this name.
const ADDRESS: &str = "http_addr";
/// A service answers in a millisecond or it is not well.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Far above what a report of all checks takes; it bounds what another server on the port can make
/// us read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Adds the flag to the settings of a service.
pub(crate) fn flag(command: Command) -> Command {
    let help = "Ask the service that runs with these settings whether it is ready: 0 yes, 1 no";
    command.arg(Arg::new(FLAG).long(FLAG).action(ArgAction::SetTrue).help(help))
}

/// When the flag is set: whether the running service is ready, and what is missing if it is not.
pub(crate) fn asked(matches: &ArgMatches) -> Option<Result<(), String>> {
    if !matches.get_flag(FLAG) {
        return None;
    }
    let address = matches.try_get_one::<SocketAddr>(ADDRESS).ok().flatten();
    let unknown = "where does the service listen? Set HTTP_ADDR, such as 0.0.0.0:8080";
    Some(address.ok_or(unknown.to_owned()).and_then(|address| ready(*address)))
}

/// Whether the service that listens on `address` is ready; if not, its report or why there is none.
fn ready(address: SocketAddr) -> Result<(), String> {
    let address = reachable(address);
    let answer = get(address, "/health/ready").map_err(|error| format!("{address}: {error}"))?;
    let (head, report) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ if report.is_empty() => Err(format!("{address} answers {head}")),
        _ => Err(report.to_owned()),
    }
}

/// The body of an HTTP/1.0 answer ends where the connection does, so no HTTP client is needed.
fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Where an address to listen on is reached from the same host.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::{Callers, Guarded, Health, Limits, Metrics, Shutdown, serve};

    #[test]
    fn an_address_to_listen_on_is_asked_on_the_loopback() {
        let asked = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(asked("[::]:8080"), "[::1]:8080");
        assert_eq!(asked("10.1.2.3:8080"), "10.1.2.3:8080");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_service_is_well_when_its_checks_are_up() {
        let health = Health::new();
        let kafka = health.check("kafka");
        kafka.down("waiting for 127.0.0.1:9092");
        let (address, api) = (([127, 0, 0, 1], 0).into(), Guarded::default());
        let told = (&health, &Metrics::default(), &Callers::open());
        let limits = Limits::default();
        let server = serve(address, api, told, limits, Shutdown::new()).await.unwrap();
        let address = server.local_addr();

        let report = ready(address).unwrap_err();
        assert!(report.contains("waiting for 127.0.0.1:9092"), "{report}");
        kafka.up();
        ready(address).unwrap();
    }

    #[test]
    fn the_flag_needs_to_know_where_the_service_listens() {
        let address = Arg::new(ADDRESS).long("http-addr").value_parser(crate::config::socket_addr);
        let command = flag(Command::new("orders").arg(address));
        let asked = |args: &[&str]| {
            let args = std::iter::once("orders").chain(args.iter().copied());
            asked(&command.clone().get_matches_from(args))
        };
        assert!(asked(&[]).is_none());
        assert!(asked(&["--healthcheck"]).unwrap().unwrap_err().contains("HTTP_ADDR"));
        // Nothing listens on port 0.
        let answer = asked(&["--healthcheck", "--http-addr", "127.0.0.1:0"]).unwrap();
        assert!(answer.unwrap_err().starts_with("127.0.0.1:0"));
    }

    #[test]
    fn nobody_there_is_not_well() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(ready(address).unwrap_err().starts_with(&address.to_string()));
    }
}
