//! Asking a server without an HTTP client.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

/// What the service at `address` shows at `GET /metrics`. Blocks.
///
/// # Panics
/// When it does not answer with text that Prometheus can read.
pub fn metrics(address: SocketAddr) -> String {
    let answer = get(address, "/metrics").expect("the service listens");
    let (head, text) = answer.split_once("\r\n\r\n").expect("the answer has a head");
    let is_well = head.split(' ').nth(1) == Some("200") && head.contains("text/plain");
    assert!(is_well, "{head}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit(' ').next().unwrap_or_default();
        assert!(value.parse::<f64>().is_ok(), "{line} has no value");
    }
    text.to_owned()
}

/// The value of `series`, a name with its labels, in what a service shows.
pub fn metric(text: &str, series: &str) -> Option<f64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    value.parse().ok()
}

/// What the server at `address` answers to `GET path`, with its head. Blocks.
///
/// # Errors
/// When it does not listen, or breaks off.
pub fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
