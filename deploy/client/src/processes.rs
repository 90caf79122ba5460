//! The processes of a shop: their names and their documented ports.

use std::time::Duration;

use contracts::{ServiceName, services};

/// How long a started process may take to be healthy. A Java server takes seconds, and more than a
/// minute while other programs need the processor.
pub const HEALTHY_WITHIN: Duration = Duration::from_secs(180);

/// Every service of the table, also those that a shop has only if it is asked for them.
pub const SERVICES: [&str; ServiceName::ALL.len()] = {
    let mut names = [""; ServiceName::ALL.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = ServiceName::ALL[index].as_str();
        index += 1;
    }
    names
};

/// What is no service of the table.
const OTHERS: [(&str, u16); 9] = [
    ("bank", 8087),
    ("mail", 8025),
    ("smtp", 1025),
    ("kafka", 9092),
    ("controller", 9093),
    ("registry", 8085),
    ("connect", 8086),
    ("postgres", 5433),
    ("workshop", 8089),
];

/// Every port by the name that `--port NAME=N` moves it with, and its default.
pub const PORTS: [(&str, u16); SERVICES.len() + OTHERS.len()] = {
    let mut ports = [("", 0); SERVICES.len() + OTHERS.len()];
    let mut index = 0;
    while index < ports.len() {
        ports[index] = match index.checked_sub(SERVICES.len()) {
            None => (SERVICES[index], services::SERVICES[index].port),
            Some(other) => OTHERS[other],
        };
        index += 1;
    }
    ports
};

/// The host of every address: each way of running a shop listens on the loopback interface alone.
pub const HOST: &str = "127.0.0.1";

/// The service of an instance, or the name of any other process: `orders` of `orders-1`.
#[must_use]
pub fn service_of(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((service, number)) if number.bytes().all(|digit| digit.is_ascii_digit()) => service,
        _ => name,
    }
}

/// The name of the process that `name` means: the first instance of a service is called `orders`
/// and `orders-0`.
#[must_use]
pub fn process_called(name: &str) -> &str {
    name.strip_suffix("-0").unwrap_or(name)
}
