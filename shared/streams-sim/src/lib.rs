//! A model of Kafka for simulations of [`streams`]: one thread, everything from a seed.

pub mod kafka;
