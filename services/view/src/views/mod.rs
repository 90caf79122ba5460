//! The lean views: one file each, with its definition, its fold and its queries.
//!
//! The SQL transaction of a batch folds it into each of them. What was taken of the log is the
//! memory's to know ([`crate::adapters::memory`]), so each view alone can be dropped, and rebuilt
//! from the log.

mod all;
pub mod batons;
mod captured;
pub mod customer_orders;
pub mod customers;
mod definition;
pub mod events;
pub mod order;
pub mod owner;
pub mod products;
pub mod refusals;
pub mod sales;
pub mod timeline;
pub mod versions;

pub(crate) use crate::shapes::time;
pub use crate::shapes::{Amount, ReasonView};
pub use definition::{Definition, ViewName};

use crate::domain::goal::Standing;
use contracts::{OrderId, Sku};
use serde::Serialize;
use sqlx::PgPool;
use std::{collections::BTreeMap, future::Future};
use uuid::Uuid;

/// A view with an answer for one order, which a reader can wait for.
pub trait OfOrder: Serialize + Sized + Send {
    /// The views that the answer is taken from.
    const NEEDS: &[ViewName];

    /// The answers for those of these orders of which something is known.
    ///
    /// # Errors
    /// When the database fails.
    fn find_all(
        pool: &PgPool,
        orders: &[OrderId],
    ) -> impl Future<Output = sqlx::Result<BTreeMap<OrderId, Self>>> + Send;

    /// The answer; none if nothing is known of the order.
    ///
    /// # Errors
    /// When the database fails.
    fn find(
        pool: &PgPool,
        order_id: OrderId,
    ) -> impl Future<Output = sqlx::Result<Option<Self>>> + Send {
        async move { Ok(Self::find_all(pool, &[order_id]).await?.remove(&order_id)) }
    }

    /// The news for waiting requests.
    fn standing(&self) -> Standing;
}

/// A view that is listed by sku, page by page.
pub trait BySku: Serialize + Sized + Send {
    /// The views that the answer is taken from.
    const NEEDS: &[ViewName];

    /// The first page, or the one after the sku `after`, with `limit` entries at most.
    ///
    /// # Errors
    /// When the database fails.
    fn list(
        pool: &PgPool,
        after: Option<&Sku>,
        limit: u32,
    ) -> impl Future<Output = sqlx::Result<Self>> + Send;
}

/// Cuts `rows`, of which one more was asked for, to a page of `limit`; whether another one follows.
fn cut<T>(rows: &mut Vec<T>, limit: u32) -> bool {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    more
}

/// The ids as Postgres takes them.
fn uuids(orders: &[OrderId]) -> Vec<Uuid> {
    orders.iter().map(|order| order.0).collect()
}

/// Whether a table of the statement is not there: its view is dropped, or is rebuilt.
pub(crate) fn is_missing(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("42P01")
}
