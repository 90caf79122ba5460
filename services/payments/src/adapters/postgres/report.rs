//! Read-only queries of the books.

use contracts::{Money, OrderId};
use serde::Serialize;
use sqlx::{PgConnection, Row as _, postgres::PgRow, types::Json};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// The state of an order's payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PaymentReport {
    /// The order.
    #[schema(value_type = String, format = "uuid")]
    pub order_id: Uuid,
    /// intent, captured, declined, refund_due or refunded.
    pub status: String,
    /// The bank has still to confirm that it holds nothing.
    pub void_due: bool,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// The bank's id of the capture.
    pub reference: Option<String>,
    /// Calls to the bank for the task at hand.
    pub attempts: i32,
    /// How the last one failed.
    pub last_error: Option<String>,
    /// What was booked, oldest first.
    pub entries: Vec<EntryReport>,
}

/// One entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EntryReport {
    /// capture, refund or void.
    pub kind: String,
    /// bank or sales.
    pub account: String,
    /// Minor units: a debit is positive, a credit negative.
    pub amount_minor: i64,
    /// Milliseconds since 1970.
    pub at: i64,
}

/// The books as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Balance {
    /// Per account and currency; the accounts of a currency sum up to zero.
    pub accounts: Vec<AccountBalance>,
    /// How many payments there are of each status, and `void_due` among the declined.
    pub payments: BTreeMap<String, i64>,
}

/// The sum of one account in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AccountBalance {
    /// bank or sales.
    pub account: String,
    /// ISO 4217 code.
    pub currency: String,
    /// Minor units: a debit is positive, a credit negative.
    pub balance_minor: i64,
    /// How many entries there are.
    pub entries: i64,
}

/// The payment of `order_id`, if there is one.
///
/// # Errors
/// When the database is away.
pub(super) async fn payment(
    connection: &mut PgConnection,
    order_id: OrderId,
) -> Result<Option<PaymentReport>, sqlx::Error> {
    let found = sqlx::query(
        "SELECT status, void_due, \"order\"->'total' AS total, reference, attempts, last_error \
         FROM payments WHERE order_id = $1",
    )
    .bind(order_id.0)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = found else { return Ok(None) };
    let entries = sqlx::query(
        "SELECT kind, account, amount_minor, at_ms FROM ledger_entries \
         WHERE order_id = $1 ORDER BY entry_id",
    )
    .bind(order_id.0)
    .fetch_all(connection)
    .await?;
    let entry = |row: &PgRow| {
        Ok::<_, sqlx::Error>(EntryReport {
            kind: row.try_get("kind")?,
            account: row.try_get("account")?,
            amount_minor: row.try_get("amount_minor")?,
            at: row.try_get("at_ms")?,
        })
    };
    let Json(Money { amount_minor, currency }) = row.try_get("total")?;
    Ok(Some(PaymentReport {
        order_id: order_id.0,
        status: row.try_get("status")?,
        void_due: row.try_get("void_due")?,
        amount_minor,
        currency: currency.to_string(),
        reference: row.try_get("reference")?,
        attempts: row.try_get("attempts")?,
        last_error: row.try_get("last_error")?,
        entries: entries.iter().map(entry).collect::<Result<_, _>>()?,
    }))
}

/// The sums of all accounts.
///
/// # Errors
/// When the database is away.
pub(super) async fn balance(connection: &mut PgConnection) -> Result<Balance, sqlx::Error> {
    let accounts = sqlx::query(
        "SELECT account, currency, sum(amount_minor)::bigint AS balance_minor, count(*) AS entries \
         FROM ledger_entries GROUP BY account, currency ORDER BY currency, account",
    )
    .fetch_all(&mut *connection)
    .await?;
    let account = |row: &PgRow| {
        Ok::<_, sqlx::Error>(AccountBalance {
            account: row.try_get("account")?,
            currency: row.try_get("currency")?,
            balance_minor: row.try_get("balance_minor")?,
            entries: row.try_get("entries")?,
        })
    };
    let payments: Vec<(String, i64)> = sqlx::query_as(
        "SELECT status, count(*) FROM payments GROUP BY status \
         UNION ALL SELECT 'void_due', count(*) FROM payments WHERE void_due",
    )
    .fetch_all(connection)
    .await?;
    Ok(Balance {
        accounts: accounts.iter().map(account).collect::<Result<_, _>>()?,
        payments: payments.into_iter().collect(),
    })
}
