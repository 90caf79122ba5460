//! The decisions and the mails of email. Pure: no clock, no IO, only data in and data out.

pub mod mail;
pub mod notice;
pub mod reply;
pub mod schedule;
