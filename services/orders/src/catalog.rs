//! The catalog: two tables, captured from a database that orders never asks.

use contracts::{
    CustomerId, Sku,
    catalog::{CatalogCustomer, Product},
    orders::{LINES_MAX, RequestedLine},
};
use streams::GlobalTable;

use crate::domain::place_order::Excerpt;

/// Products and customers, as far as change data capture has brought them. Clones share the rows.
#[derive(Clone)]
pub struct Catalog {
    products: GlobalTable<Sku, Product>,
    customers: GlobalTable<CustomerId, CatalogCustomer>,
}

impl Catalog {
    /// A catalog of these rows, which are kept up to date elsewhere.
    pub fn new(
        products: GlobalTable<Sku, Product>,
        customers: GlobalTable<CustomerId, CatalogCustomer>,
    ) -> Self {
        Self { products, customers }
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

    /// Whether both tables have been read to their ends once. Before that orders must not conclude
    /// that a product does not exist.
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
