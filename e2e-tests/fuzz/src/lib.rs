//! Fuzz targets: one for each way on which bytes of strangers come in. A target takes any bytes,
//! and panics if what is behind it does: or says something that it must never say.
//!
//! `./shop fuzz` runs them under libFuzzer, which looks for bytes that reach new code; the test
//! `replay` runs what was kept of that, in seconds.

mod answers;
mod codec;
mod headers;
mod input;
mod mail;
mod payments;
mod processors;
mod requests;
mod schemas;
mod seeds;

use std::{env, fs, path::Path, sync::OnceLock};

/// A way on which bytes of strangers come in.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in `corpus`.
    pub name: &'static str,
    /// What comes in there.
    pub about: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
    /// What is worth a try: good input of each kind, for the fuzzer to change.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: [Target; 11] = [
    Target {
        name: "codec",
        about: "a value in Avro on any topic, in our schema or another version of it",
        run: codec::run,
        seeds: codec::seeds,
    },
    Target {
        name: "schemas",
        about: "a schema of a stranger in the registry, and a value that is written with it",
        run: schemas::run,
        seeds: schemas::seeds,
    },
    Target {
        name: "headers",
        about: "the headers of a record: lineage, traceparent, causation, CloudEvents",
        run: headers::run,
        seeds: headers::seeds,
    },
    Target {
        name: "processors",
        about: "records on the topics of orders, inventory, view, email and fraud",
        run: processors::run,
        seeds: processors::seeds,
    },
    Target {
        name: "payments",
        about: "records on `orders` into payments, and what the bank answers to its calls",
        run: payments::run,
        seeds: payments::seeds,
    },
    Target {
        name: "orders-http",
        about: "requests to orders: bodies, Idempotency-Key, Prefer, ids in paths",
        run: requests::orders,
        seeds: requests::orders_seeds,
    },
    Target {
        name: "inventory-http",
        about: "requests to inventory: bodies, skus in paths",
        run: requests::inventory,
        seeds: requests::inventory_seeds,
    },
    Target {
        name: "view-http",
        about: "requests to the view: query strings, Last-Event-ID, If-None-Match, names in paths",
        run: requests::view,
        seeds: requests::view_seeds,
    },
    Target {
        name: "bank",
        about: "an answer of the bank: status and body",
        run: answers::bank,
        seeds: answers::bank_seeds,
    },
    Target {
        name: "smtp",
        about: "what a mail server says, in pieces",
        run: answers::smtp,
        seeds: answers::smtp_seeds,
    },
    Target {
        name: "mail",
        about: "names, addresses and notes of customers, in a mail",
        run: mail::run,
        seeds: mail::seeds,
    },
];

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The target that the variable `FUZZ_TARGET` names. Its seeds are written into the folder that
/// `FUZZ_SEEDS` names.
///
/// # Panics
/// When there is no such target, with the list of those that there are.
pub fn chosen() -> &'static Target {
    static CHOSEN: OnceLock<&'static Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = env::var("FUZZ_TARGET").unwrap_or_default();
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        let target =
            find(&name).unwrap_or_else(|| panic!("FUZZ_TARGET is one of {}", names.join(", ")));
        if let Some(folder) = env::var_os("FUZZ_SEEDS") {
            for (number, seed) in (target.seeds)().iter().enumerate() {
                let path = Path::new(&folder).join(format!("seed-{number:03}"));
                fs::write(&path, seed)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
        }
        target
    })
}
