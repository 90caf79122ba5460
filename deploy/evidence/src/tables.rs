//! The databases of payments and of the view, each in one snapshot.

use anyhow::{Context, Result, bail};
use auditor::{
    Booking, CustomerOrderRow, LedgerEntry, LineRow, OrderRow, PaymentRow, PaymentSection,
    Payments, ProductRow, RefusalRow, SalesRow, StockRow, TimelineRow, View,
};
use client::place;
use contracts::catalog::Product;
use contracts::{CommandId, Money, Name, OrderId, Prose, Reason, Sku, Timestamp};
use serde::Deserialize;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::types::{Json, Uuid};
use sqlx::{ConnectOptions as _, PgConnection, Row as _};

/// One consistent look at a database.
async fn snapshot(url: &str) -> Result<PgConnection> {
    // Whole tables are read here: that it takes a while is no news.
    let options: PgConnectOptions = url.parse()?;
    let options = options.disable_statement_logging();
    let mut connection = options.connect().await.with_context(|| place(url).to_owned())?;
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
        let amount = money(amount_minor, &currency)?;
        ledger.push(LedgerEntry { order_id, kind, account, amount, at });
    }
    Ok(Payments { rows: rows.into_iter().map(row).collect(), ledger })
}

/// The next offset of a service that keeps its offsets in the database at `url`; 0 where it has
/// none yet.
///
/// # Errors
/// When the database is away.
pub async fn next_offset(url: &str, topic: &str, partition: i32) -> Result<i64> {
    let mut db = snapshot(url).await?;
    let next = sqlx::query_scalar(
        "SELECT next_offset FROM consumer_offsets WHERE topic = $1 AND partition = $2",
    );
    Ok(next.bind(topic).bind(partition).fetch_optional(&mut db).await?.unwrap_or(0))
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
            reasons, requested_at, deadline, note
        FROM orders";
    let row = |row: PgRow| {
        let Json(lines): Json<Vec<LineRow>> = row.try_get("lines")?;
        let Json(reasons): Json<Vec<Reason>> = row.try_get("reasons")?;
        let payment: Option<Json<PaymentSection>> = row.try_get("payment")?;
        Ok(OrderRow {
            order_id: OrderId(row.try_get("order_id")?),
            version: row.try_get("version")?,
            status: row.try_get("status")?,
            customer_id: row.try_get("customer_id")?,
            lines,
            total: money(row.try_get("total_minor")?, row.try_get("currency")?)
                .map_err(|error| sqlx::Error::Decode(error.into()))?,
            payment: payment.map(|Json(payment)| payment),
            reasons,
            requested_at: Timestamp(row.try_get("requested_at")?),
            deadline: Timestamp(row.try_get("deadline")?),
            note: row.try_get("note")?,
        })
    };
    Ok(sqlx::query(ROWS).try_map(row).fetch_all(db).await?)
}

async fn timeline(db: &mut PgConnection) -> Result<Vec<TimelineRow>> {
    const ROWS: &str = "
        SELECT order_id, version, transition, status,
            topic || '/' || log_partition || '/' || log_offset AS address, writer, lineage,
            causation_id, occurred_at, latency_ms
        FROM timeline";
    type Row =
        (Uuid, i64, String, String, String, String, Option<String>, Option<String>, i64, i64);
    let rows: Vec<Row> = sqlx::query_as(ROWS).fetch_all(db).await?;
    let row = |row: Row| {
        let (id, version, transition, status, address, writer, lineage, causation, at, latency_ms) =
            row;
        let (order_id, occurred_at) = (OrderId(id), Timestamp(at));
        TimelineRow {
            order_id,
            version,
            transition,
            status,
            address,
            writer,
            lineage,
            causation,
            occurred_at,
            latency_ms,
        }
    };
    Ok(rows.into_iter().map(row).collect())
}

async fn customer_orders(db: &mut PgConnection) -> Result<Vec<CustomerOrderRow>> {
    const ROWS: &str = "
        SELECT order_id, customer_id, version, status, total_minor, currency, requested_at
        FROM customer_orders";
    type Row = (Uuid, String, i64, String, i64, String, i64);
    let rows: Vec<Row> = sqlx::query_as(ROWS).fetch_all(db).await?;
    let row = |(order_id, customer_id, version, status, amount_minor, currency, at): Row| {
        let (order_id, total) = (OrderId(order_id), money(amount_minor, &currency)?);
        let requested_at = Timestamp(at);
        Ok(CustomerOrderRow { order_id, customer_id, version, status, total, requested_at })
    };
    rows.into_iter().map(row).collect()
}

async fn products(db: &mut PgConnection) -> Result<Vec<ProductRow>> {
    /// What the view keeps of a product.
    #[derive(Deserialize)]
    struct Entry {
        name: Name,
        description: Prose,
        price: Money,
        picture: Prose,
        active: bool,
    }
    let rows: Vec<(String, Option<Json<Entry>>)> =
        sqlx::query_as("SELECT sku, product FROM products").fetch_all(db).await?;
    let row = |(text, entry): (String, Option<Json<Entry>>)| {
        let sku = sku(text)?;
        let product = |Json(entry): Json<Entry>| {
            Ok::<_, anyhow::Error>(Product {
                sku: sku.clone(),
                name: entry.name,
                description: entry.description,
                price_minor: entry.price.amount_minor.try_into()?,
                currency: entry.price.currency,
                picture: entry.picture,
                active: entry.active,
            })
        };
        let product = entry.map(product).transpose()?;
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
    let row = |(text, currency, orders, quantity, amount_minor): Row| {
        Ok(SalesRow { sku: sku(text)?, orders, quantity, revenue: money(amount_minor, &currency)? })
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

fn money(amount_minor: i64, currency: &str) -> Result<Money> {
    let currency = currency.parse().context("a row has a currency that cannot be")?;
    Ok(Money::new(amount_minor, currency))
}

fn sku(text: String) -> Result<Sku> {
    match Sku::try_from(text) {
        Ok(sku) => Ok(sku),
        Err(error) => bail!("the view has a product that cannot be: {error}"),
    }
}
