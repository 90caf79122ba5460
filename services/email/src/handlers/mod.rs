//! One file for each record that email acts upon, named after it.

pub(crate) mod on_view_updated;
