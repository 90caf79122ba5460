//! Email on one screen: topic in -> input -> topics out. The loop takes what it reads and writes
//! from here.

use contracts::topics::{EMAILS, Flow, ORDER_VIEWS, flow};
use streams::{Source, UpTo};

/// All that email does because of a record.
pub static FLOWS: [Flow; 1] = [flow(&ORDER_VIEWS.spec, "view_updated", &[&EMAILS.spec])];

/// Where the state comes from: our own output, so to the end.
pub static SOURCES: [Source; 1] = [Source { topic: &EMAILS.spec, up_to: UpTo::End }];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_tells_the_truth() {
        let folder = env!("CARGO_MANIFEST_DIR");
        testkit::assert_topology(
            contracts::ServiceName::Email,
            &FLOWS,
            &SOURCES.map(|s| s.topic),
            folder,
        );
    }
}
