//! Goal: who is mailed what and how often, the words of each mail, and SMTP itself; without Kafka.

mod fixtures;
mod mail;
mod notice;
mod once;
mod parts;
mod smtp;
