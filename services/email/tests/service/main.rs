//! Goal: which mails email sends and how often, the text of each mail, and SMTP itself; without
//! Kafka.

#![cfg(feature = "service")]

mod callers;
mod document;
mod fixtures;
mod mail;
mod metrics;
mod notice;
mod once;
mod parts;
mod pipelining;
mod servers;
mod smtp;
