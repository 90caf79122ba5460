//! Rows of the catalog database, as change data capture brings them.
//!
//! Debezium writes these schemas, from the tables; `schemas/catalog/` holds what we read of them.

use crate::{
    Currency, CustomerId, EmailAddress, Money, Name, Price, Prose, Sku,
    avro::avro_record,
    limits::DESCRIPTION_BYTES_MAX,
    values::{InvalidField, check_prose, field},
};
use serde::{Deserialize, Serialize};

/// A product for sale. A row with a value out of bounds is none: it cannot be read, and the error
/// names its column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Value", try_from = "ProductRow")]
pub struct Product {
    /// The record's key.
    pub sku: Sku,
    /// Display name.
    pub name: Name,
    /// A sentence about it.
    pub description: Prose,
    /// Price of one piece.
    pub price_minor: Price,
    /// Of the price.
    pub currency: Currency,
    /// Something worth looking at: an emoji or an inline SVG.
    pub picture: Prose,
    /// Whether it can be ordered.
    pub active: bool,
}

avro_record!(Product, "catalog/products.avsc");

impl Product {
    /// Price of one piece.
    pub fn price(&self) -> Money {
        Money::new(self.price_minor.minor(), self.currency)
    }
}

/// The columns of a product, whatever they hold.
#[derive(Deserialize)]
#[serde(rename = "Value")]
struct ProductRow {
    sku: Sku,
    name: String,
    description: String,
    price_minor: i64,
    currency: String,
    picture: String,
    active: bool,
}

impl TryFrom<ProductRow> for Product {
    type Error = InvalidField;

    fn try_from(row: ProductRow) -> Result<Self, InvalidField> {
        let description = check_prose(&row.description, DESCRIPTION_BYTES_MAX);
        description.map_err(|why| why.of("description"))?;
        Ok(Self {
            sku: row.sku,
            name: field("name", row.name)?,
            description: field("description", row.description)?,
            price_minor: field("price_minor", row.price_minor)?,
            currency: field("currency", row.currency)?,
            picture: field("picture", row.picture)?,
            active: row.active,
        })
    }
}

/// A person who may order. As with [`Product`], a row with a value out of bounds is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Value", try_from = "CustomerRow")]
pub struct CatalogCustomer {
    /// The record's key.
    pub customer_id: CustomerId,
    /// Display name.
    pub name: Name,
    /// Where mails go.
    pub email: EmailAddress,
    /// Whether they may order.
    pub active: bool,
}

avro_record!(CatalogCustomer, "catalog/customers.avsc");

/// The columns of a customer, whatever they hold.
#[derive(Deserialize)]
#[serde(rename = "Value")]
struct CustomerRow {
    customer_id: CustomerId,
    name: String,
    email: String,
    active: bool,
}

impl TryFrom<CustomerRow> for CatalogCustomer {
    type Error = InvalidField;

    fn try_from(row: CustomerRow) -> Result<Self, InvalidField> {
        Ok(Self {
            customer_id: row.customer_id,
            name: field("name", row.name)?,
            email: field("email", row.email)?,
            active: row.active,
        })
    }
}
