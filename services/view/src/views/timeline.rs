//! Every transition of an order, with its place in the log. One row per (order, version),
//! never changed.

pub use crate::shapes::timeline::TransitionView;

use super::{Definition, OfOrder, ViewName, refusals, time, uuids};
use crate::{
    batch::{Fresh, Transition},
    domain::goal::Standing,
    shapes::{
        standing,
        timeline::{hops, latency_ms},
    },
};
use contracts::{OrderId, topics::ORDERS};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};
use std::collections::BTreeMap;
use streams::record::names;
use utoipa::ToSchema;
use uuid::Uuid;

/// The index is for readers who go through the log: the transitions of a partition after an offset.
pub(super) const DEFINITION: Definition = Definition {
    name: "timeline",
    topics: &[&ORDERS.spec],
    tables: &["timeline"],
    ddl: "
        CREATE TABLE timeline (
            order_id      uuid    NOT NULL,
            version       bigint  NOT NULL,
            transition    text    NOT NULL,
            status        text    NOT NULL,
            topic         text    NOT NULL,
            log_partition integer NOT NULL,
            log_offset    bigint  NOT NULL,
            writer        text    NOT NULL,
            lineage       text,
            causation_id  text,
            occurred_at   bigint  NOT NULL,
            latency_ms    bigint  NOT NULL,
            caller        text,
            PRIMARY KEY (order_id, version)
        );
        CREATE INDEX timeline_places ON timeline (log_partition, log_offset)",
    revision: 1,
    keep: None,
};

/// The transitions of an order, oldest first; none if it was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TimelineView {
    /// The order.
    #[schema(value_type = String, format = "uuid")]
    pub order_id: OrderId,
    /// Oldest first.
    pub transitions: Vec<TransitionView>,
}

const INSERT: &str = "
    INSERT INTO timeline (order_id, version, transition, status, topic, log_partition, log_offset,
        writer, lineage, causation_id, occurred_at, latency_ms, caller)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::int[],
        $7::bigint[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::bigint[],
        $13::text[])
    ON CONFLICT (order_id, version) DO NOTHING";

/// Show the transitions.
pub(super) async fn fold(connection: &mut PgConnection, fresh: &Fresh<'_>) -> sqlx::Result<()> {
    let all = &fresh.taken;
    if all.is_empty() {
        return Ok(());
    }
    sqlx::query(INSERT)
        .bind(all.iter().map(|arrived| arrived.order.order_id.0).collect::<Vec<_>>())
        .bind(all.iter().map(|arrived| arrived.order.version).collect::<Vec<_>>())
        .bind(all.iter().map(|arrived| arrived.order.transition.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|arrived| arrived.order.status.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|arrived| &*arrived.record.topic).collect::<Vec<_>>())
        .bind(all.iter().map(|arrived| arrived.record.partition).collect::<Vec<_>>())
        .bind(all.iter().map(|arrived| arrived.record.offset).collect::<Vec<_>>())
        .bind(all.iter().map(|a| header(a, names::SOURCE).unwrap_or("unknown")).collect::<Vec<_>>())
        .bind(all.iter().map(|arrived| header(arrived, names::LINEAGE)).collect::<Vec<_>>())
        .bind(all.iter().map(|arrived| header(arrived, names::CAUSATION_ID)).collect::<Vec<_>>())
        .bind(all.iter().map(|arrived| arrived.order.occurred_at.millis()).collect::<Vec<_>>())
        .bind(all.iter().map(|arrived| latency_ms(arrived.order)).collect::<Vec<_>>())
        .bind(all.iter().map(|arrived| header(arrived, names::CALLER_ID)).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}

/// A header's text, if Postgres can keep it.
fn header<'a>(arrived: &Transition<'a>, name: &str) -> Option<&'a str> {
    arrived.record.headers.get(name)
}

/// A row of the table.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    version: i64,
    transition: String,
    status: String,
    topic: String,
    log_partition: i32,
    log_offset: i64,
    writer: String,
    lineage: Option<String>,
    causation_id: Option<String>,
    occurred_at: i64,
    latency_ms: i64,
    caller: Option<String>,
}

impl From<Row> for TransitionView {
    fn from(row: Row) -> Self {
        Self {
            version: row.version,
            transition: row.transition,
            status: row.status,
            topic: row.topic,
            partition: row.log_partition,
            offset: row.log_offset,
            writer: row.writer,
            lineage: hops(row.lineage.as_deref()),
            causation_id: row.causation_id,
            occurred_at: time(row.occurred_at),
            latency_ms: row.latency_ms,
            caller: row.caller,
        }
    }
}

const FIND: &str = "
    SELECT t.order_id, jsonb_agg(to_jsonb(t) ORDER BY t.version)
    FROM timeline AS t WHERE order_id = ANY($1) GROUP BY t.order_id";

impl OfOrder for TimelineView {
    const NEEDS: &[ViewName] = &[ViewName::Timeline, ViewName::Refusals];

    /// Only of orders without a transition, the refusals are asked.
    async fn find_all(pool: &PgPool, orders: &[OrderId]) -> sqlx::Result<BTreeMap<OrderId, Self>> {
        let found: Vec<(Uuid, Json<Vec<Row>>)> =
            sqlx::query_as(FIND).bind(uuids(orders)).fetch_all(pool).await?;
        let timelines = found.into_iter().map(|(id, Json(rows))| {
            let transitions = rows.into_iter().map(TransitionView::from).collect();
            (OrderId(id), Self { order_id: OrderId(id), transitions })
        });
        let mut timelines: BTreeMap<_, _> = timelines.collect();
        let unknown = orders.iter().filter(|order| !timelines.contains_key(order));
        let unknown: Vec<_> = unknown.copied().collect();
        if !unknown.is_empty() {
            let refused = refusals::refused_of(pool, &unknown).await?;
            let empty = |order_id| (order_id, Self { order_id, transitions: Vec::new() });
            timelines.extend(refused.into_iter().map(empty));
        }
        Ok(timelines)
    }

    fn standing(&self) -> Standing {
        let last = self.transitions.last();
        last.map_or(Standing::Refused, |last| standing(&last.status, last.version))
    }
}
