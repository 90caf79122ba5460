//! Changes for waiting requests, from any instance to any instance: the writer's SQL transaction
//! notifies, and every instance listens (Postgres LISTEN/NOTIFY).

use crate::feed::Changes;
use anyhow::Context;
use contracts::OrderId;
use service_kit::{Backoff, Readiness, Shutdown, postgres::Database};
use sqlx::{PgConnection, PgPool, postgres::PgListener};
use std::{collections::BTreeSet, convert::Infallible, time::Duration};
use tokio::time::timeout;

/// Channels are a database's own, so one name serves every shop.
const CHANNEL: &str = "orders_changed";

/// Silence after which [`relay`] asks whether its connection still answers.
pub const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A payload must be shorter than 8000 bytes; an id and its comma take 37.
const IDS_PER_PAYLOAD: usize = 200;

/// Tell every instance, when the transaction of `connection` commits, that these orders have
/// changed.
///
/// # Errors
/// When the database fails.
pub(super) async fn notify(
    connection: &mut PgConnection,
    orders: &BTreeSet<OrderId>,
) -> Result<(), sqlx::Error> {
    if orders.is_empty() {
        return Ok(());
    }
    sqlx::query("SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload")
        .bind(CHANNEL)
        .bind(payloads(orders))
        .execute(connection)
        .await
        .map(drop)
}

/// Tell of every order that changes, until `shutdown`. `check` is up while the
/// connection listens.
///
/// # Errors
/// None that waiting could cure: a lost connection is made again.
pub async fn relay(
    database: Database,
    changes: Changes,
    silence_max: Duration,
    check: Readiness,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let mut backoff = Backoff::default();
    let relay = async {
        loop {
            let Err(error) = listen(&database, &changes, silence_max, &check, &mut backoff).await;
            // The watch of the database reports its outages.
            tracing::debug!("not listening: {error:#}");
            check.down(format!("not listening at {}: {error:#}", database.place()));
            tokio::time::sleep(backoff.next()).await;
        }
    };
    shutdown.run_until_cancelled(relay).await;
    Ok(())
}

async fn listen(
    database: &Database,
    changes: &Changes,
    silence_max: Duration,
    check: &Readiness,
    backoff: &mut Backoff,
) -> anyhow::Result<Infallible> {
    let mut listener = database.within(subscribe(database.pool())).await?;
    backoff.reset();
    check.up();
    // What changed before we listened was not heard: let everyone look again.
    changes.tell_all();
    loop {
        match timeout(silence_max, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => {
                let orders = notification.payload().split(',').filter_map(|id| id.parse().ok());
                orders.for_each(|order_id| changes.tell(order_id));
            }
            // The connection was lost, and by now is there again.
            Ok(Ok(None)) => changes.tell_all(),
            Ok(Err(error)) => {
                database.judge(&error);
                return Err(error.into());
            }
            // Nothing has changed, or the other end has died and no packet said so.
            Err(_) => {
                let asked = sqlx::query("SELECT 1").execute(&mut listener);
                timeout(silence_max, asked).await.context("the connection has fallen silent")??;
            }
        }
    }
}

async fn subscribe(pool: &PgPool) -> sqlx::Result<PgListener> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

fn payloads(orders: &BTreeSet<OrderId>) -> Vec<String> {
    let ids: Vec<String> = orders.iter().map(ToString::to_string).collect();
    ids.chunks(IDS_PER_PAYLOAD).map(|chunk| chunk.join(",")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn payloads_stay_below_what_postgres_takes() {
        let orders: BTreeSet<_> = (0..500).map(|n| OrderId(Uuid::from_u128(n))).collect();
        let payloads = payloads(&orders);
        assert!(payloads.iter().all(|payload| payload.len() < 8000));
        let heard = payloads.iter().flat_map(|p| p.split(',')).map(|id| id.parse().unwrap());
        assert_eq!(heard.collect::<BTreeSet<OrderId>>(), orders);
    }
}
