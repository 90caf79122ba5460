//! Following the catalog over Kafka.

use crate::catalog::Catalog;
use contracts::{
    owns::Orders,
    topics::{CUSTOMERS, PRODUCTS},
};
use service_kit::Shutdown;
use streams::Codec;
use streams_kafka::{ThreadHandle, spawn_table};

/// Follow the catalog until `shutdown`: products on one thread, customers on the other.
pub fn follow(
    bootstrap: &str,
    instance: u32,
    codec: &Codec,
    shutdown: &Shutdown,
) -> (Catalog, [ThreadHandle; 2]) {
    let (codec, stop) = (|| codec.clone(), || shutdown.clone());
    let (products, first) =
        spawn_table::<Orders, _, _>(bootstrap, instance, &PRODUCTS, codec(), stop());
    let (customers, second) =
        spawn_table::<Orders, _, _>(bootstrap, instance, &CUSTOMERS, codec(), stop());
    (Catalog::new(products, customers), [first, second])
}
