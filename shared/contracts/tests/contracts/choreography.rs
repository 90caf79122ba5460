//! The page about the choreography says what the code says.

use contracts::choreography::markdown;
use std::{env, fs, path::Path};

#[test]
fn the_page_is_fresh() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/choreography.md");
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, markdown()).expect("docs/ can be written");
    }
    let found = fs::read_to_string(&page).unwrap_or_default();
    assert!(
        found == markdown(),
        "docs/choreography.md is stale: `UPDATE_DOCS=1 cargo test -p contracts` writes it anew"
    );
}
