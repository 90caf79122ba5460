//! Migrations as a part of the binary.
//!
//! `sqlx::migrate!` would embed the files as well, but its macros compile sqlx and Tokio a second
//! time, for the compiler alone.

use sqlx::{
    SqlStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// The migrations in `files`: number, name and text of each, in the order of their numbers.
pub fn migrator(files: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migration = |(number, name, text): &(i64, &'static str, &'static str)| {
        let (name, text) = ((*name).into(), SqlStr::from_static(text));
        Migration::new(*number, name, MigrationType::Simple, text, false)
    };
    Migrator::with_migrations(files.iter().map(migration).collect())
}
