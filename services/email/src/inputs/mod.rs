//! One file for each record that email acts upon, named after it.

pub(crate) mod email_sent;
pub(crate) mod view_updated;
