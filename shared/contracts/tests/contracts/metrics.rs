//! The table of metrics in the guide for operators is the one of the code.

use contracts::metrics;
use std::{fs, path::Path};

const PAGE: &str = "docs/operating.md";
const BEGIN: &str = "<!-- metrics: `UPDATE_DOCS=1 cargo test -p contracts` writes this table -->\n";
const END: &str = "<!-- end of metrics -->\n";

#[test]
fn the_guide_has_each_metric() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE);
    let page = fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has a place for the table");
    let (_, after) = rest.split_once(END).expect("the table has an end");
    let fresh = format!("{before}{BEGIN}\n{}\n{END}{after}", metrics::table());
    super::assert_fresh(PAGE, &fresh);
}
