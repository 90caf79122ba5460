//! How a change reaches the readers who wait, whichever instance they ask and whichever wrote it:
//! the writer's SQL transaction notifies, and every instance listens (Postgres LISTEN/NOTIFY).

use crate::waiters::Waiters;
use contracts::OrderId;
use service_kit::{Backoff, Shutdown, postgres::Database};
use sqlx::{PgConnection, postgres::PgListener};
use std::{collections::BTreeSet, convert::Infallible};

/// Channels are a database's own, so one name serves every shop.
const CHANNEL: &str = "orders_changed";

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

/// Wake the `waiters` of every order that changes, until `shutdown`.
pub async fn relay(database: Database, waiters: Waiters, shutdown: Shutdown) {
    let mut backoff = Backoff::default();
    loop {
        let session = listen(&database, &waiters, &mut backoff);
        let Some(Err(error)) = shutdown.run_until_cancelled(session).await else { return };
        database.judge(&error);
        // That the database is away is said by the one who watches it.
        tracing::debug!("not listening: {error}");
        if shutdown.run_until_cancelled(tokio::time::sleep(backoff.next())).await.is_none() {
            return;
        }
    }
}

async fn listen(
    database: &Database,
    waiters: &Waiters,
    backoff: &mut Backoff,
) -> Result<Infallible, sqlx::Error> {
    let mut listener = PgListener::connect_with(database.pool()).await?;
    listener.listen(CHANNEL).await?;
    backoff.reset();
    // What changed before we listened was not heard: let everyone look again.
    waiters.wake_all();
    loop {
        match listener.try_recv().await? {
            Some(notification) => {
                let orders = notification.payload().split(',').filter_map(|id| id.parse().ok());
                orders.for_each(|order_id| waiters.wake(order_id));
            }
            // The connection was lost, and by now is there again.
            None => waiters.wake_all(),
        }
    }
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
