//! [`MIGRATIONS`]: the schema of the database, as a part of the binary.

use service_kit::postgres::migrator;
use sqlx::migrate::Migrator;
use std::sync::LazyLock;

/// Number, name and text of every file in `migrations/`.
const FILES: [(i64, &str, &str); 15] = [
    (1, "orders", include_str!("../../migrations/0001_orders.sql")),
    (2, "timeline", include_str!("../../migrations/0002_timeline.sql")),
    (3, "customer_orders", include_str!("../../migrations/0003_customer_orders.sql")),
    (4, "products", include_str!("../../migrations/0004_products.sql")),
    (5, "sales", include_str!("../../migrations/0005_sales.sql")),
    (6, "refusals", include_str!("../../migrations/0006_refusals.sql")),
    (7, "progress", include_str!("../../migrations/0007_progress.sql")),
    (8, "refusals_order_version", include_str!("../../migrations/0008_refusals_order_version.sql")),
    (9, "progress_ages", include_str!("../../migrations/0009_progress_ages.sql")),
    (10, "orders_note", include_str!("../../migrations/0010_orders_note.sql")),
    (11, "timeline_places", include_str!("../../migrations/0011_timeline_places.sql")),
    (12, "order_versions", include_str!("../../migrations/0012_order_versions.sql")),
    (13, "customers", include_str!("../../migrations/0013_customers.sql")),
    (14, "captured_at", include_str!("../../migrations/0014_captured_at.sql")),
    (15, "memory", include_str!("../../migrations/0015_memory.sql")),
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
