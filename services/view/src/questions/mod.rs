//! Named questions: what an operator asks of the views, each with its SQL. They read, and nothing
//! else: in a transaction that is read-only, as a role that may read and not write, for a short
//! time, and up to a number of rows.

mod asked;

pub use asked::{Asked, Parameter};

use crate::views::{ViewName, batons::LATE_SECONDS};
use serde_json::Value;
use service_kit::postgres::Database;
use sqlx::{AssertSqlSafe, Connection, PgConnection, types::Json};
use tokio::sync::Semaphore;

/// A question that has a name.
#[derive(Debug)]
pub struct Question {
    /// Its name: words with dashes.
    pub name: &'static str,
    /// What it answers.
    pub answers: &'static str,
    /// How it is asked: `$1`, `$2` ... are `parameters`.
    pub sql: &'static str,
    /// What it depends on, besides `limit`.
    pub parameters: &'static [Parameter],
    /// What each row has, in this order.
    pub columns: &'static [&'static str],
}

/// Questions that an instance answers at a time; the others wait. They may read much.
static AT_A_TIME: Semaphore = Semaphore::const_new(2);

/// Before each question. The role comes with PostgreSQL 14: it may read all tables and write none.
pub const READ_ONLY: &str = "SET TRANSACTION READ ONLY; SET LOCAL ROLE pg_read_all_data; \
    SET LOCAL statement_timeout = '2s'; SET LOCAL TIME ZONE 'UTC'";

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

macro_rules! question {
    ($name:literal, $answers:literal, [$($parameter:expr),*], [$($column:literal),*]) => {
        Question {
            name: $name,
            answers: $answers,
            sql: include_str!(concat!("../../questions/", $name, ".sql")).trim_ascii_end(),
            parameters: &[$($parameter),*],
            columns: &[$($column),*],
        }
    };
}

/// Every question, in the order in which an operator may ask them.
pub static QUESTIONS: [Question; 12] = [
    question!(
        "stuck-orders",
        "Open orders whose baton has not moved for some seconds, longest first",
        [Parameter::seconds(LATE_SECONDS)],
        ["order_id", "status", "version", "last_writer", "waiting_ms"]
    ),
    question!(
        "overdue-orders",
        "Open orders whose deadline is over, longest first",
        [],
        ["order_id", "status", "customer_id", "overdue_ms"]
    ),
    question!(
        "orders-by-status",
        "How many orders there are of each status, and their value",
        [],
        ["status", "currency", "orders", "total_minor"]
    ),
    question!(
        "sold-lately",
        "What was sold in the last hour, by product",
        [Parameter::seconds(HOUR)],
        ["sku", "currency", "orders", "pieces", "revenue_minor"]
    ),
    question!(
        "slowest-orders",
        "Orders that ended in the last hour, and took the longest from the request to the end",
        [Parameter::seconds(HOUR)],
        ["order_id", "status", "customer_id", "took_ms"]
    ),
    question!(
        "step-latency",
        "How long each step took after the one before it in the last hour, slowest first",
        [Parameter::seconds(HOUR)],
        ["transition", "writer", "transitions", "p50_ms", "p99_ms", "max_ms"]
    ),
    question!(
        "failure-reasons",
        "Why orders of the last day were rejected, cancelled or refunded, most frequent first",
        [Parameter::seconds(DAY)],
        ["code", "source", "orders", "example"]
    ),
    question!(
        "refused-commands",
        "Which commands were refused in the last day, and why",
        [Parameter::seconds(DAY)],
        ["command", "code", "commands", "latest_at"]
    ),
    question!(
        "declined-payments",
        "Orders whose payment was declined in the last day, newest first",
        [Parameter::seconds(DAY)],
        ["order_id", "customer_id", "status", "total_minor", "currency", "decided_at"]
    ),
    question!(
        "low-stock",
        "Products on sale of which few pieces are left",
        [Parameter::pieces(10)],
        ["sku", "name", "on_hand", "reserved", "available"]
    ),
    question!(
        "unsold-products",
        "Products on sale that no confirmed order has",
        [],
        ["sku", "name", "available"]
    ),
    question!(
        "best-customers",
        "Customers by what they have spent in confirmed orders, most first",
        [],
        ["customer_id", "name", "currency", "orders", "spent_minor"]
    ),
];

/// The question of this name.
pub fn find(name: &str) -> Option<&'static Question> {
    QUESTIONS.iter().find(|question| question.name == name)
}

/// The rows of an answer, each with its columns in their order, and whether there are more.
pub type Rows = (Vec<Vec<Value>>, bool);

impl Question {
    /// The views whose tables its SQL names.
    pub fn views(&self) -> Vec<ViewName> {
        let words: Vec<_> =
            self.sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        let is_named =
            |view: &ViewName| view.definition().tables.iter().any(|table| words.contains(table));
        ViewName::ALL.into_iter().filter(is_named).collect()
    }

    /// Its answer from `database`.
    ///
    /// # Errors
    /// When the database is away, has not all tables, or takes longer than two seconds.
    pub async fn ask(&self, database: &Database, asked: &Asked) -> anyhow::Result<Rows> {
        let _turn = AT_A_TIME.acquire().await?;
        let mut session = database.session().await?;
        let found = session.run(async |connection| self.read(connection, asked).await).await?;
        session.release();
        Ok(found)
    }

    async fn read(&self, connection: &mut PgConnection, asked: &Asked) -> sqlx::Result<Rows> {
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(READ_ONLY).execute(&mut *transaction).await?;
        let limit = self.parameters.len() + 1;
        // Without what clients send: those are arguments.
        let sql = format!("SELECT to_jsonb(a) FROM (\n{}\n) AS a LIMIT ${limit}", self.sql);
        let mut query = sqlx::query_scalar(AssertSqlSafe(sql));
        for value in &asked.values {
            query = query.bind(value);
        }
        let rows: Vec<Json<Value>> =
            query.bind(asked.limit + 1).fetch_all(&mut *transaction).await?;
        transaction.rollback().await?;
        let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
        let is_cut = rows.len() > limit;
        let columns =
            |Json(row): Json<Value>| self.columns.iter().map(|c| row[c].clone()).collect();
        Ok((rows.into_iter().take(limit).map(columns).collect(), is_cut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::Status;
    use std::collections::BTreeSet;

    #[test]
    fn each_question_has_a_name_of_its_own_and_uses_its_parameters() {
        let names: BTreeSet<_> = QUESTIONS.iter().map(|question| question.name).collect();
        assert_eq!(names.len(), QUESTIONS.len());
        for question in &QUESTIONS {
            for number in 1..=3 {
                let is_used = question.sql.contains(&format!("${number}::bigint"));
                assert_eq!(is_used, number <= question.parameters.len(), "{}", question.name);
            }
            assert!(!question.sql.contains(';'), "{}", question.name);
        }
    }

    #[test]
    fn an_open_order_is_what_the_contracts_call_one() {
        let ended = Status::ALL.into_iter().filter(|status| status.is_terminal());
        let mut ended: Vec<_> = ended.map(|status| format!("'{status}'")).collect();
        ended.sort();
        for question in &QUESTIONS {
            let Some((_, list)) = question.sql.split_once("NOT IN (") else { continue };
            let (list, _) = list.split_once(')').unwrap();
            let mut named: Vec<_> = list.split(", ").collect();
            named.sort_unstable();
            assert_eq!(named, ended, "{}", question.name);
        }
    }
}
