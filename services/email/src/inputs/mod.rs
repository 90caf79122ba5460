//! One file for each record that email acts upon, named after it, and one for what time brings.

mod attempt;
pub(crate) mod email_sent;
pub(crate) mod email_waiting;
pub(crate) mod mail_due;
pub(crate) mod order_transition;
pub(crate) mod view_updated;
