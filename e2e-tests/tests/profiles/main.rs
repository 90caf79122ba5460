//! The whole shop, run in another way than by default: with logins and access control, with callers
//! who need a token, with more partitions. As processes always: all that is the same in containers.
//!
//! They are no part of `tests/system`, so that its shops have ended before these start: two cores
//! do not carry more.

#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod callers;
mod partitions;
mod secured;
