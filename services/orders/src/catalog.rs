//! The catalog: two tables, captured from a database that orders never asks.

use contracts::{
    CustomerId, Sku,
    catalog::{CatalogCustomer, Product},
    orders::{LINES_MAX, RequestedLine},
};
use streams::{GlobalTable, Row};

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

    /// The same, with another row of one product, or one that cannot be read and why.
    pub fn with_row(
        products: impl IntoIterator<Item = Product>,
        customers: impl IntoIterator<Item = CatalogCustomer>,
        (sku, row): (Sku, Result<Product, impl ToString>),
    ) -> Self {
        let products = products.into_iter().map(|row| (row.sku.clone(), Ok(row)));
        let row = row.map_err(|cause| cause.to_string().into());
        let products = GlobalTable::of(products.chain([(sku, row)]));
        Self { products, ..Self::fixed([], customers) }
    }

    /// Whether both tables have been read to their ends once. Before that orders must not
    /// conclude that a product does not exist.
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
        let product = |line: &RequestedLine| {
            self.products.get(&line.sku).map(|row| (line.sku.clone(), told(row)))
        };
        Excerpt {
            customer: self.customers.get(customer_id).map(told),
            products: lines.iter().take(LINES_MAX).filter_map(product).collect(),
        }
    }
}

/// A row with its fault in words, as the domain has it.
fn told<V>(row: Row<V>) -> Result<V, String> {
    row.map_err(|cause| cause.to_string())
}
