//! A private Postgres for service tests.
