//! Tests against real parts. `tests/runtime`: the stream runtime on a real Kafka and registry.
//! `tests/system`: the whole shop, driven from outside.
