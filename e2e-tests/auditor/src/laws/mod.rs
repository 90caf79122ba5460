//! The laws, one file per group.

mod baton;
mod ending;
mod letters;

use crate::{case::Case, verdict::Findings};

/// Look at everything.
pub(crate) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    baton::check(case, findings);
    ending::check(case, findings);
    letters::check(case, findings);
}
