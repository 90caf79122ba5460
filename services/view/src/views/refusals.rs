//! Refused commands, by command id. The view shows them with their order, or in its place if there
//! is none.

pub use crate::shapes::refusal::RefusalView;

use super::{Definition, ReasonView, time, uuids};
use crate::batch::Fresh;
use contracts::{OrderId, orders::CommandRefused, topics::ORDER_REFUSALS};
use serde::Deserialize;
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

/// Kafka deletes old refusals, so a rebuild keeps the rows of those that the log has no more.
pub(super) const DEFINITION: Definition = Definition {
    name: "refusals",
    topics: &[&ORDER_REFUSALS.spec],
    tables: &["refusals"],
    ddl: "
        CREATE TABLE refusals (
            command_id    uuid   PRIMARY KEY,
            order_id      uuid   NOT NULL,
            command       text   NOT NULL,
            reasons       jsonb  NOT NULL,
            refused_at    bigint NOT NULL,
            order_version bigint,
            customer_id   text
        );
        CREATE INDEX refusals_by_order ON refusals (order_id, refused_at)",
    revision: 1,
    keep: Some(
        "
        INSERT INTO refusals (command_id, order_id, command, reasons, refused_at, order_version,
            customer_id)
        SELECT command_id, order_id, command, reasons, refused_at, order_version, customer_id
        FROM public.refusals
        ON CONFLICT (command_id) DO NOTHING",
    ),
};

/// A row of the table.
#[derive(Debug, Deserialize)]
pub(super) struct RefusalRow {
    command_id: Uuid,
    command: String,
    reasons: Vec<ReasonView>,
    order_version: Option<i64>,
    refused_at: i64,
}

/// Whether there is no order, by `refusals` of commands about it. They are on another topic: if one
/// of them was judged by a version of the order, it will show as soon as that has been read.
pub(super) fn no_order(refusals: &[RefusalRow]) -> bool {
    !refusals.is_empty() && refusals.iter().all(|refusal| refusal.order_version.is_none())
}

impl From<RefusalRow> for RefusalView {
    fn from(row: RefusalRow) -> Self {
        let RefusalRow { command_id, command, reasons, order_version, refused_at } = row;
        Self { command_id, command, reasons, order_version, refused_at: time(refused_at) }
    }
}

const INSERT: &str = "
    INSERT INTO refusals (command_id, order_id, command, reasons, order_version, refused_at,
        customer_id)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[], $5::bigint[],
        $6::bigint[], $7::text[])
    ON CONFLICT (command_id) DO NOTHING";

/// Show the refusals.
pub(super) async fn fold(connection: &mut PgConnection, fresh: &Fresh<'_>) -> sqlx::Result<()> {
    let refusals: Vec<&CommandRefused> = fresh.batch.refusals().into_values().collect();
    if refusals.is_empty() {
        return Ok(());
    }
    let customer =
        |refusal: &&CommandRefused| refusal.customer_id.as_ref().map(ToString::to_string);
    let reasons = |refusal: &&CommandRefused| {
        Json(refusal.reasons.iter().map(ReasonView::from).collect::<Vec<_>>())
    };
    sqlx::query(INSERT)
        .bind(refusals.iter().map(|refusal| refusal.command_id.0).collect::<Vec<_>>())
        .bind(refusals.iter().map(|refusal| refusal.order_id.0).collect::<Vec<_>>())
        .bind(refusals.iter().map(|refusal| &*refusal.command).collect::<Vec<_>>())
        .bind(refusals.iter().map(reasons).collect::<Vec<_>>())
        .bind(refusals.iter().map(|refusal| refusal.order_version).collect::<Vec<_>>())
        .bind(refusals.iter().map(|refusal| refusal.refused_at.millis()).collect::<Vec<_>>())
        .bind(refusals.iter().map(customer).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}

/// Those of `orders` that do not exist, because every command about them was refused.
///
/// # Errors
/// When the database fails.
pub async fn refused_of(pool: &PgPool, orders: &[OrderId]) -> sqlx::Result<Vec<OrderId>> {
    const ALL: &str = "SELECT order_id FROM refusals WHERE order_id = ANY($1)
        GROUP BY order_id HAVING bool_and(order_version IS NULL)";
    let refused = sqlx::query_scalar(ALL).bind(uuids(orders)).fetch_all(pool).await?;
    Ok(refused.into_iter().map(OrderId).collect())
}
