//! Asking a server without an HTTP client.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

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
