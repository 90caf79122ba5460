//! One file per command.

pub(crate) mod detach;
pub(crate) mod down;
pub(crate) mod logs;
pub(crate) mod status;
pub(crate) mod up;
