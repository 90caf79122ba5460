//! The catalog: two tables, captured from a database that orders never asks.

use contracts::{
    CustomerId, Sku,
    catalog::{CatalogCustomer, Product},
    orders::{LINES_MAX, RequestedLine},
    owns::Orders,
    topics::{CUSTOMERS, PRODUCTS},
};
use service_kit::Shutdown;
use streams::{Codec, GlobalTable};
use streams_kafka::{LoopHandle, spawn_table};

use crate::domain::place_order::Excerpt;

/// Products and customers, as far as change data capture has brought them. Clones share the rows.
#[derive(Clone)]
pub struct Catalog {
    products: GlobalTable<Sku, Product>,
    customers: GlobalTable<CustomerId, CatalogCustomer>,
}

impl Catalog {
    /// Follow the catalog until `shutdown`: products on one thread, customers on the other.
    pub fn follow(
        bootstrap: &str,
        instance: u32,
        codec: &Codec,
        shutdown: &Shutdown,
    ) -> (Self, [LoopHandle; 2]) {
        let (codec, stop) = (|| codec.clone(), || shutdown.clone());
        let (products, first) =
            spawn_table::<Orders, _, _>(bootstrap, instance, &PRODUCTS, codec(), stop());
        let (customers, second) =
            spawn_table::<Orders, _, _>(bootstrap, instance, &CUSTOMERS, codec(), stop());
        (Self { products, customers }, [first, second])
    }

    /// A catalog that never changes, for tests and the simulation.
    pub fn fixed(
        products: impl IntoIterator<Item = Product>,
        customers: impl IntoIterator<Item = CatalogCustomer>,
    ) -> Self {
        let products = products.into_iter().map(|row| (row.sku.clone(), row));
        let customers = customers.into_iter().map(|row| (row.customer_id.clone(), row));
        Self { products: GlobalTable::fixed(products), customers: GlobalTable::fixed(customers) }
    }

    /// Whether both tables have been read to their ends once. Before that nobody may conclude that
    /// a product does not exist.
    pub fn is_ready(&self) -> bool {
        self.products.is_ready() && self.customers.is_ready()
    }

    /// Wait until both tables have been read to their ends once.
    pub async fn ready(&self) {
        self.products.ready().await;
        self.customers.ready().await;
    }

    /// The rows that matter to an order of `lines` by `customer_id`.
    pub fn excerpt(&self, customer_id: &CustomerId, lines: &[RequestedLine]) -> Excerpt {
        let rows = lines.iter().take(LINES_MAX).filter_map(|line| self.products.get(&line.sku));
        Excerpt {
            customer: self.customers.get(customer_id),
            products: rows.map(|row| (row.sku.clone(), row)).collect(),
        }
    }
}
