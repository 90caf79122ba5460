//! The parts of a shop: their names and their documented ports.

/// The services, in the order of their ports.
pub const SERVICES: [&str; 5] = ["orders", "inventory", "payments", "email", "view"];

/// Every port by the name that `--port NAME=N` moves it with, and its default.
pub const PORTS: [(&str, u16); 13] = [
    ("orders", 8080),
    ("inventory", 8081),
    ("payments", 8082),
    ("email", 8083),
    ("view", 8084),
    ("bank", 8087),
    ("mail", 8025),
    ("smtp", 1025),
    ("kafka", 9092),
    ("controller", 9093),
    ("registry", 8085),
    ("connect", 8086),
    ("postgres", 5433),
];

/// The host of every address: each way of running a shop listens on the loopback interface alone.
pub const HOST: &str = "127.0.0.1";

/// The service of an instance, or the name of any other part: `orders` of `orders-1`.
#[must_use]
pub fn service_of(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((service, number)) if number.bytes().all(|digit| digit.is_ascii_digit()) => service,
        _ => name,
    }
}

/// The name of the part that `name` means: the first instance of a service is called `orders` and
/// `orders-0`.
#[must_use]
pub fn part_called(name: &str) -> &str {
    name.strip_suffix("-0").unwrap_or(name)
}
