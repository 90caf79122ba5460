//! Failpoints: places between two effects where a test can make a process die, for the tests that
//! kill every service at every step.
//!
//! `FAILPOINT=sent` aborts the process when it gets there for the first time, `FAILPOINT=sent:3`
//! for the third, `FAILPOINT=inventory-stock/sent` only in that processor. All of it is compiled
//! out where debug assertions are off: a release build has neither the points nor the variable. A
//! program lists its failpoints, and arms the one that the variable names when it starts ([`arm`]).
//!
//! The end is that of a process that is killed: nothing of it is left. With `FAILPOINT_END=panic`
//! the thread panics instead, as at a bug, and the process ends as it does then.

/// A place where a test can make a process die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failpoint {
    /// As `FAILPOINT` names it.
    pub name: &'static str,
    /// The processors that pass it.
    pub processors: &'static [&'static str],
    /// What has happened by then, and what has not.
    pub when: &'static str,
}

pub use switch::{arm, reached};

#[cfg(debug_assertions)]
mod switch {
    use super::Failpoint;
    use std::{
        process::abort,
        sync::{
            OnceLock,
            atomic::{AtomicU32, Ordering},
        },
        thread,
    };

    const VARIABLE: &str = "FAILPOINT";
    const END_VARIABLE: &str = "FAILPOINT_END";

    /// What `FAILPOINT` says.
    #[derive(Debug, PartialEq, Eq)]
    struct Armed {
        text: String,
        in_processor: Option<String>,
        point: Failpoint,
        /// Dies when it gets there for this time, from 1.
        time: u32,
        /// A panic, not the end of a process that is killed.
        panics: bool,
    }

    /// A process has the failpoint that it was started with.
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    fn parse(text: &str, all: &[Failpoint]) -> Result<Armed, String> {
        let (place, time) = text.split_once(':').unwrap_or((text, "1"));
        let (in_processor, name) =
            place.rsplit_once('/').map_or((None, place), |(l, n)| (Some(l), n));
        let point = all.iter().find(|point| point.name == name).copied().ok_or_else(|| {
            let known: Vec<_> = all.iter().map(|point| point.name).collect();
            format!("{VARIABLE}: `{name}` is no failpoint; there are {}", known.join(", "))
        })?;
        if let Some(other) = in_processor.filter(|name| !point.processors.contains(name)) {
            let known = point.processors.join(", ");
            return Err(format!("{VARIABLE}: `{name}` is not in `{other}`, but in {known}"));
        }
        let time = time.parse().ok().filter(|time| *time > 0).ok_or_else(|| {
            format!("{VARIABLE}: `{time}` is no count; `{name}:2` means the second time, from 1")
        })?;
        Ok(Armed {
            text: text.to_owned(),
            in_processor: in_processor.map(str::to_owned),
            point,
            time,
            panics: false,
        })
    }

    /// Whether it panics.
    fn parse_end(text: &str) -> Result<bool, String> {
        match text {
            "" | "abort" => Ok(false),
            "panic" => Ok(true),
            other => Err(format!("{END_VARIABLE}: `{other}` is neither `abort` nor `panic`")),
        }
    }

    /// Arm the one of `all` that the variable `FAILPOINT` names, if it is set.
    ///
    /// # Errors
    /// When it names no failpoint, with those that there are; when `FAILPOINT_END` names no end.
    pub fn arm(all: &[Failpoint]) -> Result<(), String> {
        let armed = match std::env::var(VARIABLE) {
            Ok(text) if !text.is_empty() => {
                let panics = parse_end(&std::env::var(END_VARIABLE).unwrap_or_default())?;
                Some(Armed { panics, ..parse(&text, all)? })
            }
            _ => None,
        };
        // Several services in one process, as tests have them, share the variable.
        let _ = ARMED.set(armed);
        Ok(())
    }

    /// The process is at `name`: the end of it, if that is armed.
    pub fn reached(name: &'static str) {
        static TIMES: AtomicU32 = AtomicU32::new(0);
        let Some(Some(armed)) = ARMED.get() else { return };
        // A processor's thread has its name.
        let here = thread::current();
        let here = armed.in_processor.is_none() || armed.in_processor.as_deref() == here.name();
        if armed.point.name == name
            && here
            && TIMES.fetch_add(1, Ordering::Relaxed) + 1 == armed.time
        {
            let text = format!("failpoint {} is reached: {}", armed.text, armed.point.when);
            assert!(!armed.panics, "{text}");
            eprintln!("{text}");
            abort();
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        const ALL: [Failpoint; 2] = [
            Failpoint { name: "sent", processors: &["sums", "counts"], when: "records are sent" },
            Failpoint { name: "mailed", processors: &["counts"], when: "a mail is accepted" },
        ];

        fn parse(text: &str) -> Result<Armed, String> {
            super::parse(text, &ALL)
        }

        #[test]
        fn a_failpoint_is_named_with_its_processor_and_its_time() {
            let armed = parse("sums/sent:3").unwrap();
            assert_eq!((armed.in_processor.as_deref(), armed.time), (Some("sums"), 3));
            assert_eq!((armed.point.name, parse("sent").unwrap().time), ("sent", 1));
        }

        #[test]
        fn what_is_no_failpoint_is_refused_with_those_that_there_are() {
            assert!(
                parse("snt").unwrap_err().contains("`snt` is no failpoint; there are sent, mailed")
            );
            assert!(parse("sums/mailed").unwrap_err().contains("not in `sums`, but in counts"));
            assert!(parse("sent:0").unwrap_err().contains("`0` is no count"));
            assert!(parse("sent:often").unwrap_err().contains("`often` is no count"));
        }

        #[test]
        fn a_failpoint_aborts_unless_it_is_to_panic() {
            assert_eq!((parse_end(""), parse_end("abort")), (Ok(false), Ok(false)));
            assert_eq!(parse_end("panic"), Ok(true));
            assert!(parse_end("exit").unwrap_err().contains("neither `abort` nor `panic`"));
        }
    }
}

#[cfg(not(debug_assertions))]
mod switch {
    use super::Failpoint;

    /// Nothing is armed in a release build.
    ///
    /// # Errors
    /// Never.
    pub fn arm(_: &[Failpoint]) -> Result<(), String> {
        Ok(())
    }

    /// Nothing happens in a release build.
    #[inline(always)]
    pub fn reached(_: &'static str) {}
}
