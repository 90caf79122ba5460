//! The databases of payments and of the view, each in one snapshot.

use anyhow::{Context, Result, bail};
use auditor::{
    Booking, CustomerOrderRow, LedgerEntry, LineRow, OrderRow, PaymentRow, PaymentSection,
    Payments, ProductRow, RefusalRow, SalesRow, StockRow, TimelineRow, View,
};
use contracts::catalog::Product;
use contracts::{CommandId, Money, OrderId, Reason, Sku, Timestamp};
use serde::Deserialize;
use sqlx::types::{Json, Uuid};
use sqlx::{Connection, PgConnection};

/// One consistent look at a database.
async fn snapshot(url: &str) -> Result<PgConnection> {
    let mut connection = PgConnection::connect(url).await.with_context(|| url.to_owned())?;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

fn booking(kind: &str) -> Result<Booking> {
    let known = [Booking::Capture, Booking::Refund, Booking::Void];
    let found = known.into_iter().find(|booking| booking.as_str() == kind);
    found.with_context(|| format!("the ledger has booked a `{kind}`"))
}

/// The rows and the ledger of payments.
pub(super) async fn payments(url: &str) -> Result<Payments> {
    const ROWS: &str = "
        SELECT order_id, status, void_due, reference, last_error,
            (extract(epoch FROM updated_at) * 1000)::bigint
        FROM payments";
    const LEDGER: &str = "
        SELECT order_id, kind, account, amount_minor, currency, at_ms FROM ledger_entries";
    type Row = (Uuid, String, bool, Option<String>, Option<String>, i64);
    type Entry = (Uuid, String, String, i64, String, i64);
    let mut db = snapshot(url).await?;
    let rows: Vec<Row> = sqlx::query_as(ROWS).fetch_all(&mut db).await?;
    let entries: Vec<Entry> = sqlx::query_as(LEDGER).fetch_all(&mut db).await?;
    let row = |(order_id, status, void_due, reference, last_error, updated_at)| PaymentRow {
        order_id: OrderId(order_id),
        status,
        void_due,
        reference,
        last_error,
        updated_at: Timestamp(updated_at),
    };
    let mut ledger = Vec::new();
    for (order_id, kind, account, amount_minor, currency, at) in entries {
        let (order_id, kind, at) = (OrderId(order_id), booking(&kind)?, Timestamp(at));
        let amount = Money { amount_minor, currency };
        ledger.push(LedgerEntry { order_id, kind, account, amount, at });
    }
    Ok(Payments { rows: rows.into_iter().map(row).collect(), ledger })
}

/// Every table of the view.
pub(super) async fn view(url: &str) -> Result<View> {
    let mut db = snapshot(url).await?;
    Ok(View {
        orders: orders(&mut db).await?,
        timeline: timeline(&mut db).await?,
        customer_orders: customer_orders(&mut db).await?,
        products: products(&mut db).await?,
        stock: stock(&mut db).await?,
        sales: sales(&mut db).await?,
        refusals: refusals(&mut db).await?,
    })
}

async fn orders(db: &mut PgConnection) -> Result<Vec<OrderRow>> {
    const ROWS: &str = "
        SELECT order_id, version, status, customer_id, lines, total_minor, currency, payment,
            reasons, requested_at, deadline
        FROM orders";
    #[derive(sqlx::FromRow)]
    struct Row {
        order_id: Uuid,
        version: i64,
        status: String,
        customer_id: String,
        lines: Json<Vec<LineRow>>,
        total_minor: i64,
        currency: String,
        payment: Option<Json<PaymentSection>>,
        reasons: Json<Vec<Reason>>,
        requested_at: i64,
        deadline: i64,
    }
    let rows: Vec<Row> = sqlx::query_as(ROWS).fetch_all(db).await?;
    let row = |row: Row| OrderRow {
        order_id: OrderId(row.order_id),
        version: row.version,
        status: row.status,
        customer_id: row.customer_id,
        lines: row.lines.0,
        total: Money { amount_minor: row.total_minor, currency: row.currency },
        payment: row.payment.map(|payment| payment.0),
        reasons: row.reasons.0,
        requested_at: Timestamp(row.requested_at),
        deadline: Timestamp(row.deadline),
    };
    Ok(rows.into_iter().map(row).collect())
}

async fn timeline(db: &mut PgConnection) -> Result<Vec<TimelineRow>> {
    const ROWS: &str = "
        SELECT order_id, version, transition, status,
            topic || '/' || log_partition || '/' || log_offset AS address, writer, lineage,
            causation_id, occurred_at, latency_ms
        FROM timeline";
    #[derive(sqlx::FromRow)]
    struct Row {
        order_id: Uuid,
        version: i64,
        transition: String,
        status: String,
        address: String,
        writer: String,
        lineage: Option<String>,
        causation_id: Option<String>,
        occurred_at: i64,
        latency_ms: i64,
    }
    let rows: Vec<Row> = sqlx::query_as(ROWS).fetch_all(db).await?;
    let row = |row: Row| TimelineRow {
        order_id: OrderId(row.order_id),
        version: row.version,
        transition: row.transition,
        status: row.status,
        address: row.address,
        writer: row.writer,
        lineage: row.lineage,
        causation: row.causation_id,
        occurred_at: Timestamp(row.occurred_at),
        latency_ms: row.latency_ms,
    };
    Ok(rows.into_iter().map(row).collect())
}

async fn customer_orders(db: &mut PgConnection) -> Result<Vec<CustomerOrderRow>> {
    const ROWS: &str = "
        SELECT order_id, customer_id, version, status, total_minor, currency, requested_at
        FROM customer_orders";
    type Row = (Uuid, String, i64, String, i64, String, i64);
    let rows: Vec<Row> = sqlx::query_as(ROWS).fetch_all(db).await?;
    let row = |(order_id, customer_id, version, status, amount_minor, currency, at)| {
        let (order_id, total) = (OrderId(order_id), Money { amount_minor, currency });
        let requested_at = Timestamp(at);
        CustomerOrderRow { order_id, customer_id, version, status, total, requested_at }
    };
    Ok(rows.into_iter().map(row).collect())
}

async fn products(db: &mut PgConnection) -> Result<Vec<ProductRow>> {
    /// What the view keeps of a product.
    #[derive(Deserialize)]
    struct Entry {
        name: String,
        description: String,
        price: Money,
        picture: String,
        active: bool,
    }
    let rows: Vec<(String, Option<Json<Entry>>)> =
        sqlx::query_as("SELECT sku, product FROM products").fetch_all(db).await?;
    let row = |(text, entry): (String, Option<Json<Entry>>)| {
        let sku = sku(text)?;
        let product = entry.map(|Json(entry)| Product {
            sku: sku.clone(),
            name: entry.name,
            description: entry.description,
            price_minor: entry.price.amount_minor,
            currency: entry.price.currency,
            picture: entry.picture,
            active: entry.active,
        });
        Ok(ProductRow { sku, product })
    };
    rows.into_iter().map(row).collect()
}

async fn stock(db: &mut PgConnection) -> Result<Vec<StockRow>> {
    const ROWS: &str = "SELECT sku, on_hand, reserved, available, version FROM stock";
    type Row = (String, i64, i64, i64, i64);
    let rows: Vec<Row> = sqlx::query_as(ROWS).fetch_all(db).await?;
    let row = |(text, on_hand, reserved, available, version)| {
        Ok(StockRow { sku: sku(text)?, on_hand, reserved, available, version })
    };
    rows.into_iter().map(row).collect()
}

async fn sales(db: &mut PgConnection) -> Result<Vec<SalesRow>> {
    const ROWS: &str = "SELECT sku, currency, orders, quantity, revenue_minor::bigint FROM sales";
    type Row = (String, String, i64, i64, i64);
    let rows: Vec<Row> = sqlx::query_as(ROWS).fetch_all(db).await?;
    let row = |(text, currency, orders, quantity, amount_minor)| {
        Ok(SalesRow {
            sku: sku(text)?,
            orders,
            quantity,
            revenue: Money { amount_minor, currency },
        })
    };
    rows.into_iter().map(row).collect()
}

async fn refusals(db: &mut PgConnection) -> Result<Vec<RefusalRow>> {
    const ROWS: &str = "
        SELECT command_id, order_id, command, reasons, order_version, refused_at FROM refusals";
    type Row = (Uuid, Uuid, String, Json<Vec<Reason>>, Option<i64>, i64);
    let rows: Vec<Row> = sqlx::query_as(ROWS).fetch_all(db).await?;
    let row = |(command_id, order_id, command, Json(reasons), order_version, at)| RefusalRow {
        command_id: CommandId(command_id),
        order_id: OrderId(order_id),
        command,
        reasons,
        order_version,
        refused_at: Timestamp(at),
    };
    Ok(rows.into_iter().map(row).collect())
}

fn sku(text: String) -> Result<Sku> {
    match Sku::try_from(text) {
        Ok(sku) => Ok(sku),
        Err(error) => bail!("the view has a product that cannot be: {error}"),
    }
}
