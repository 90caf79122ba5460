//! Goal: which mails email sends and how often, the text of each mail, and SMTP itself; without
//! Kafka.

mod fixtures;
mod mail;
mod notice;
mod once;
mod parts;
mod servers;
mod smtp;
