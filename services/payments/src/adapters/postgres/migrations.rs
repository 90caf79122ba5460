//! [`MIGRATIONS`]: the schema of the database, as a part of the binary.

use service_kit::postgres::migrator;
use sqlx::migrate::Migrator;
use std::sync::LazyLock;

/// Number, name and text of every file in `migrations/`.
const FILES: [(i64, &str, &str); 6] = [
    (1, "payments", include_str!("../../../migrations/0001_payments.sql")),
    (2, "set_aside", include_str!("../../../migrations/0002_set_aside.sql")),
    (3, "sizes", include_str!("../../../migrations/0003_sizes.sql")),
    (4, "outbox_partition", include_str!("../../../migrations/0004_outbox_partition.sql")),
    (5, "unreturned", include_str!("../../../migrations/0005_unreturned.sql")),
    (6, "callers", include_str!("../../../migrations/0006_callers.sql")),
];

/// Every migration, in the order of their numbers.
pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| migrator(&FILES));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_embedded_under_its_number_and_name() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        let embedded = FILES.map(|(number, name, _)| format!("{number:04}_{name}.sql"));
        assert_eq!(names, embedded);
        for (name, (_, _, text)) in names.iter().zip(FILES) {
            assert_eq!(std::fs::read_to_string(format!("{folder}/{name}")).unwrap(), text);
        }
    }
}
