//! What each process of the shop is: its command, its settings, and how its health is seen.

pub(crate) mod bank;
pub(crate) mod connect;
pub(crate) mod kafka;
pub(crate) mod mail;
pub(crate) mod postgres;
pub(crate) mod postgres_home;
pub(crate) mod registry;
pub(crate) mod services;
pub(crate) mod site;
