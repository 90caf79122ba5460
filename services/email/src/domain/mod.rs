//! What email decides and writes. Pure: no clock, no IO, nothing but data in and data out.

pub mod mail;
pub mod notice;
