//! Rows of the catalog database, as change data capture brings them.
//!
//! Debezium writes these schemas, from the tables; `schemas/catalog/` holds what we read of them.

use crate::{CustomerId, Money, Sku, avro::avro_record};
use serde::{Deserialize, Serialize};

/// A product for sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Value")]
pub struct Product {
    /// The record's key.
    pub sku: Sku,
    /// Display name.
    pub name: String,
    /// A sentence about it.
    pub description: String,
    /// Price of one piece.
    pub price_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Something worth looking at: an emoji or an inline SVG.
    pub picture: String,
    /// Whether it can be ordered.
    pub active: bool,
}

avro_record!(Product, "catalog/products.avsc");

impl Product {
    /// Price of one piece.
    pub fn price(&self) -> Money {
        Money::new(self.price_minor, self.currency.clone())
    }
}

/// A person who may order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Value")]
pub struct CatalogCustomer {
    /// The record's key.
    pub customer_id: CustomerId,
    /// Display name.
    pub name: String,
    /// Where mails go.
    pub email: String,
    /// Whether they may order.
    pub active: bool,
}

avro_record!(CatalogCustomer, "catalog/customers.avsc");
