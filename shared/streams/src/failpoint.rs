//! Failpoints: places between two effects where a process can be told to die, for the tests that
//! kill every service at every step.
//!
//! `FAILPOINT=sent` aborts the process when it gets there for the first time, `FAILPOINT=sent:3`
//! for the third, `FAILPOINT=inventory-stock/sent` only in that loop. All of it is compiled out
//! where debug assertions are off: a release build has neither the points nor the variable.

/// A place where a process can be told to die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failpoint {
    /// As `FAILPOINT` names it.
    pub name: &'static str,
    /// The loops that pass it.
    pub loops: &'static [&'static str],
    /// What has happened by then, and what has not.
    pub when: &'static str,
}

/// Every failpoint, in the order in which a batch meets them.
pub const FAILPOINTS: [Failpoint; 14] = {
    const TRANSACTIONAL: &[&str] =
        &["orders", "inventory-split", "inventory-stock", "view", "email"];
    const EVERY: &[&str] =
        &["orders", "inventory-split", "inventory-stock", "payments", "view", "email"];
    const fn at(
        name: &'static str,
        loops: &'static [&'static str],
        when: &'static str,
    ) -> Failpoint {
        Failpoint { name, loops, when }
    }
    [
        at("claimed", &["payments"], "partitions are ours in the database; none was read from"),
        at(
            "restoring",
            &["orders", "inventory-stock", "email"],
            "a part of the state is restored and on disk; the rest is not",
        ),
        at("polled", EVERY, "a batch was read; nothing is decided"),
        at("mailed", &["email"], "the mail server has accepted a mail; nothing else knows of it"),
        at("sql-open", &["payments"], "the batch is written; its SQL transaction is open"),
        at("sql-committed", &["payments", "view"], "Postgres has the batch; Kafka knows nothing"),
        at("decided", TRANSACTIONAL, "the batch is decided; no Kafka transaction is open"),
        at(
            "sent",
            TRANSACTIONAL,
            "its records are delivered; the offsets are not in the transaction",
        ),
        at("offsets-sent", TRANSACTIONAL, "records and offsets are sent; nothing is committed"),
        at("committed", TRANSACTIONAL, "Kafka has committed; the local store is behind"),
        at("applied", TRANSACTIONAL, "the local store is up to date; the next batch is not read"),
        at("bank-claimed", &["payments"], "a payment is claimed; the bank was not called"),
        at("bank-answered", &["payments"], "the bank has answered; the answer is not written"),
        at(
            "result-written",
            &["payments"],
            "the answer is committed; Debezium may not have sent it",
        ),
    ]
};

pub use switch::{check, reached};

#[cfg(debug_assertions)]
mod switch {
    use super::{FAILPOINTS, Failpoint};
    use std::{
        process::abort,
        sync::{
            OnceLock,
            atomic::{AtomicU32, Ordering},
        },
        thread,
    };

    const VARIABLE: &str = "FAILPOINT";

    /// What `FAILPOINT` says.
    #[derive(Debug, PartialEq, Eq)]
    struct Armed {
        text: String,
        in_loop: Option<String>,
        point: Failpoint,
        /// Dies when it gets there for this time, from 1.
        time: u32,
    }

    /// Read once: a process has the failpoint that it was started with.
    fn armed() -> &'static Result<Option<Armed>, String> {
        static ARMED: OnceLock<Result<Option<Armed>, String>> = OnceLock::new();
        ARMED.get_or_init(|| match std::env::var(VARIABLE) {
            Ok(text) if !text.is_empty() => parse(&text).map(Some),
            _ => Ok(None),
        })
    }

    fn parse(text: &str) -> Result<Armed, String> {
        let (place, time) = text.split_once(':').unwrap_or((text, "1"));
        let (in_loop, name) = place.rsplit_once('/').map_or((None, place), |(l, n)| (Some(l), n));
        let point = FAILPOINTS.into_iter().find(|point| point.name == name).ok_or_else(|| {
            let known = FAILPOINTS.map(|point| point.name).join(", ");
            format!("{VARIABLE}: `{name}` is no failpoint; there are {known}")
        })?;
        if let Some(other) = in_loop.filter(|name| !point.loops.contains(name)) {
            let known = point.loops.join(", ");
            return Err(format!("{VARIABLE}: `{name}` is not in `{other}`, but in {known}"));
        }
        let time = time.parse().ok().filter(|time| *time > 0).ok_or_else(|| {
            format!("{VARIABLE}: `{time}` is no count; `{name}:2` means the second time, from 1")
        })?;
        Ok(Armed { text: text.to_owned(), in_loop: in_loop.map(str::to_owned), point, time })
    }

    /// Whether `FAILPOINT` can be understood.
    ///
    /// # Errors
    /// When it names no failpoint; with those that there are.
    pub fn check() -> Result<(), String> {
        armed().as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// The process is at `name`: the end of it, if that is armed.
    ///
    /// # Panics
    /// When `name` is not one of [`FAILPOINTS`].
    pub fn reached(name: &'static str) {
        static TIMES: AtomicU32 = AtomicU32::new(0);
        debug_assert!(FAILPOINTS.iter().any(|point| point.name == name), "{name} is in the table");
        let Ok(Some(armed)) = armed() else { return };
        // A loop's thread has its name.
        let here = thread::current();
        let here = armed.in_loop.is_none() || armed.in_loop.as_deref() == here.name();
        if armed.point.name == name
            && here
            && TIMES.fetch_add(1, Ordering::Relaxed) + 1 == armed.time
        {
            eprintln!("failpoint {} is reached: {}", armed.text, armed.point.when);
            abort();
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_failpoint_is_named_with_its_loop_and_its_time() {
            let armed = parse("inventory-stock/sent:3").unwrap();
            assert_eq!((armed.in_loop.as_deref(), armed.time), (Some("inventory-stock"), 3));
            assert_eq!((armed.point.name, parse("sent").unwrap().time), ("sent", 1));
        }

        #[test]
        fn what_is_no_failpoint_is_refused_with_those_that_there_are() {
            assert!(parse("snt").unwrap_err().contains("`snt` is no failpoint; there are claimed"));
            assert!(parse("orders/mailed").unwrap_err().contains("not in `orders`, but in email"));
            assert!(parse("sent:0").unwrap_err().contains("`0` is no count"));
            assert!(parse("sent:often").unwrap_err().contains("`often` is no count"));
        }
    }
}

#[cfg(not(debug_assertions))]
mod switch {
    /// Nothing is armed in a release build.
    ///
    /// # Errors
    /// Never.
    pub fn check() -> Result<(), String> {
        Ok(())
    }

    /// Nothing happens in a release build.
    #[inline(always)]
    pub fn reached(_: &'static str) {}
}
