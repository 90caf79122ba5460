//! The bank simulator: the external system.

use std::collections::BTreeMap;
use std::time::Duration;

use super::site::Site;
use crate::supervisor::ProcessSpec;

/// What to run.
pub(crate) fn spec(site: &Site) -> ProcessSpec {
    let port = site.port("bank");
    let mut env = BTreeMap::from([
        ("HTTP_ADDR".to_owned(), format!("127.0.0.1:{port}")),
        // Its log is a file that a person reads.
        ("LOG_FORMAT".to_owned(), "text".to_owned()),
        ("BANK_DATA_DIR".to_owned(), site.dirs.data().join("bank").to_string_lossy().into_owned()),
    ]);
    env.extend(site.env_of("bank"));
    let grace = Duration::from_secs(5);
    ProcessSpec { grace, ..site.program("bank", "bank-simulator", port, env) }
}
