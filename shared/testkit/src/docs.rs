//! Pages that a test writes.

use std::{env, fs, path::Path};

/// The generated `page`, a path from the root of the repository, has this `text`, which
/// `UPDATE_DOCS=1 cargo test -p <package>` writes.
///
/// # Panics
/// When the page is stale, or cannot be written.
pub fn assert_fresh(package: &str, page: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
    if env::var_os("UPDATE_DOCS").is_some() {
        // Whole or not at all: the test of the guides reads the pages at the same time.
        let new = path.with_added_extension("new");
        fs::create_dir_all(path.parent().expect("a page is in a folder")).expect("docs/ is ours");
        fs::write(&new, text).expect("docs/ can be written");
        fs::rename(&new, &path).expect("docs/ can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{page} is stale: `UPDATE_DOCS=1 cargo test -p {package}` writes it");
}
