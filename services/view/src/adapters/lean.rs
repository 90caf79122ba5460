//! The table `views`: which views have tables, made by which definition, and which are to be
//! rebuilt.
//!
//! A batch holds the lock of the views together with other batches; who gives or takes tables holds
//! it alone. So within its transaction a batch knows which views there are.

use crate::views::{Definition, ViewName};
use serde::{Deserialize, Serialize};
use service_kit::postgres::Database;
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql, types::Json};
use utoipa::ToSchema;

/// Class and number of the lock; one is of the views, those of rebuilds follow.
const LOCK: (i32, i32) = (0x76_69_65_77, 0);

/// What the tables were made by that are older than the table `views`.
const BY_MIGRATIONS: &str = "migrations";

/// A view, for operators.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ViewStatus {
    /// Its name.
    #[schema(example = "timeline")]
    pub name: String,
    /// Whether it has tables: `served` or `dropped`.
    #[schema(example = "served")]
    pub state: String,
    /// Whether its tables were made by the definition of this program.
    pub current: bool,
    /// The topics that it is the fold of.
    pub topics: Vec<String>,
    /// Its tables.
    pub tables: Vec<String>,
    /// What they take on disk, with their indexes.
    pub bytes: i64,
    /// The rebuild that goes on or waits; null if there is none.
    pub rebuild: Option<RebuildStatus>,
    /// The last rebuild; null if there was none.
    pub rebuilt: Option<Rebuilt>,
}

/// How far a rebuild is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RebuildStatus {
    /// Records that it has read.
    pub records: i64,
    /// Offsets that it has still to read, with those that are no records; null before it begins.
    pub left: Option<i64>,
    /// Records per second.
    pub records_per_second: Option<f64>,
    /// Time left at this rate.
    pub seconds_left: Option<f64>,
    /// What holds it up, if something does; it is tried again.
    pub problem: Option<String>,
}

/// A rebuild that was done.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Rebuilt {
    /// RFC 3339.
    pub at: String,
    /// Records that it has read.
    pub records: i64,
    /// Milliseconds of work, since its last beginning.
    pub took_ms: i64,
}

/// Hold the lock of the views until the end of the transaction, together with other batches; which
/// views have tables.
pub(super) async fn served(connection: &mut PgConnection) -> sqlx::Result<Vec<ViewName>> {
    const TOGETHER: &str = "SELECT pg_advisory_xact_lock_shared($1, $2)";
    const SERVED: &str = "SELECT name FROM public.views WHERE digest IS NOT NULL";
    sqlx::query(TOGETHER).bind(LOCK.0).bind(LOCK.1).execute(&mut *connection).await?;
    let names: Vec<String> = sqlx::query_scalar(SERVED).fetch_all(connection).await?;
    let is_served = |view: &ViewName| names.iter().any(|name| name == view.as_str());
    Ok(ViewName::ALL.into_iter().filter(is_served).collect())
}

/// Hold the lock of the views alone, until the end of the transaction.
pub(crate) async fn lock(connection: &mut PgConnection) -> sqlx::Result<()> {
    const ALONE: &str = "SELECT pg_advisory_xact_lock($1, $2)";
    sqlx::query(ALONE).bind(LOCK.0).bind(LOCK.1).execute(connection).await.map(drop)
}

/// Hold the lock of this view's rebuild for as long as the session lives, if it is free.
pub(crate) async fn lock_rebuild(
    connection: &mut PgConnection,
    view: ViewName,
) -> sqlx::Result<bool> {
    const TRY: &str = "SELECT pg_try_advisory_lock($1, $2)";
    let number = LOCK.1 + 1 + view as i32;
    sqlx::query_scalar(TRY).bind(LOCK.0).bind(number).fetch_one(connection).await
}

/// Statements of a program, with names that it has made.
pub(crate) async fn run(connection: &mut PgConnection, statements: String) -> sqlx::Result<()> {
    raw_sql(AssertSqlSafe(statements)).execute(connection).await.map(drop)
}

/// Make the tables of views that have none yet, and ask for a rebuild of each view whose definition
/// has changed. If the program cannot use the present tables of one, they are dropped.
pub(super) async fn ensure(connection: &mut PgConnection) -> sqlx::Result<()> {
    const FIND: &str = "SELECT digest, wanted FROM public.views WHERE name = $1";
    let mut tx = connection.begin().await?;
    lock(&mut tx).await?;
    for view in ViewName::ALL {
        let ours = view.definition().digest();
        let known: Option<(Option<String>, Option<String>)> =
            sqlx::query_as(FIND).bind(view.as_str()).fetch_optional(&mut *tx).await?;
        match known {
            None => adopt(&mut tx, view, &ours).await?,
            Some((Some(digest), _)) if digest == ours => {}
            // Another program wanted it otherwise.
            Some((None, Some(wanted))) if wanted != ours => want_in(&mut tx, view).await?,
            Some((Some(_), wanted)) if wanted.as_ref() != Some(&ours) => {
                change(&mut tx, view).await?;
            }
            Some(_) => {}
        }
    }
    tx.commit().await
}

/// The tables from before the definitions, if there is anything in them, or else new ones.
async fn adopt(connection: &mut PgConnection, view: ViewName, ours: &str) -> sqlx::Result<()> {
    const ADD: &str = "INSERT INTO public.views (name, digest) VALUES ($1, $2)";
    let mut is_empty = true;
    for table in view.definition().tables {
        if is_there(connection, table).await? {
            let any = format!("SELECT EXISTS (SELECT 1 FROM public.{table})");
            let any: bool =
                sqlx::query_scalar(AssertSqlSafe(any)).fetch_one(&mut *connection).await?;
            is_empty &= !any;
        }
    }
    let digest = if is_empty { ours } else { BY_MIGRATIONS };
    sqlx::query(ADD).bind(view.as_str()).bind(digest).execute(&mut *connection).await?;
    match is_empty {
        true => {
            drop_tables(connection, view.definition()).await?;
            run(connection, view.definition().ddl.to_owned()).await
        }
        false => change(connection, view).await,
    }
}

/// Whether there is such a table among those that are served.
pub(crate) async fn is_there(connection: &mut PgConnection, table: &str) -> sqlx::Result<bool> {
    const LOOK: &str = "SELECT to_regclass('public.' || $1) IS NOT NULL";
    sqlx::query_scalar(LOOK).bind(table).fetch_one(connection).await
}

/// Ask for a rebuild by another definition. Tables that the program cannot use are dropped.
async fn change(connection: &mut PgConnection, view: ViewName) -> sqlx::Result<()> {
    make_shadow(connection, view).await?;
    if !fits(connection, view).await? {
        tracing::warn!("the view {view} has tables of no use: it is dropped, and rebuilt");
        take_away(connection, view).await?;
    }
    tracing::info!("the definition of the view {view} has changed: it is rebuilt");
    want_in(connection, view).await
}

/// Whether the statements of this program work on the present tables: they have the columns and the
/// keys of those in the shadow schema, and ask for no other ones.
async fn fits(connection: &mut PgConnection, view: ViewName) -> sqlx::Result<bool> {
    const FITS: &str = "
        WITH columns AS (
            SELECT table_schema = 'public' AS served, table_name, column_name, udt_name,
                is_nullable = 'NO' AND column_default IS NULL AS asked_for
            FROM information_schema.columns
            WHERE table_schema IN ('public', $1) AND table_name = ANY($2)),
        keys AS (
            SELECT schemaname = 'public' AS served, tablename,
                replace(indexdef, schemaname || '.', '') AS key
            FROM pg_indexes
            WHERE schemaname IN ('public', $1) AND tablename = ANY($2)
                AND indexdef LIKE 'CREATE UNIQUE %')
        SELECT NOT EXISTS (
                SELECT table_name, column_name, udt_name FROM columns WHERE NOT served
                EXCEPT SELECT table_name, column_name, udt_name FROM columns WHERE served)
            AND NOT EXISTS (
                SELECT table_name, column_name FROM columns WHERE served AND asked_for
                EXCEPT SELECT table_name, column_name FROM columns WHERE NOT served)
            AND NOT EXISTS (
                SELECT tablename, key FROM keys WHERE NOT served
                EXCEPT SELECT tablename, key FROM keys WHERE served)";
    let tables: Vec<&str> = view.definition().tables.to_vec();
    sqlx::query_scalar(FITS).bind(view.shadow()).bind(tables).fetch_one(connection).await
}

/// Make empty tables in the shadow schema, in place of any others.
pub(crate) async fn make_shadow(connection: &mut PgConnection, view: ViewName) -> sqlx::Result<()> {
    const MADE: &str = "
        UPDATE public.views SET shadow = $2, read_records = 0, left_offsets = NULL, rate = NULL
        WHERE name = $1";
    forget_shadow(connection, view).await?;
    // From here on, the transaction names tables that are not served with their schema.
    let (shadow, ddl) = (view.shadow(), view.definition().ddl);
    let make = format!(
        "CREATE SCHEMA {shadow}; SET LOCAL search_path TO {shadow}; {ddl};
         SET LOCAL search_path TO public"
    );
    run(connection, make).await?;
    let digest = view.definition().digest();
    sqlx::query(MADE).bind(view.as_str()).bind(digest).execute(connection).await.map(drop)
}

async fn forget_shadow(connection: &mut PgConnection, view: ViewName) -> sqlx::Result<()> {
    run(connection, format!("DROP SCHEMA IF EXISTS {} CASCADE", view.shadow())).await?;
    let forget = sqlx::query("DELETE FROM public.rebuild_positions WHERE view = $1");
    forget.bind(view.as_str()).execute(&mut *connection).await?;
    let forget = sqlx::query("UPDATE public.views SET shadow = NULL WHERE name = $1");
    forget.bind(view.as_str()).execute(connection).await.map(drop)
}

/// Put the tables of the shadow schema in the place of the present ones.
pub(crate) async fn swap(connection: &mut PgConnection, view: ViewName) -> sqlx::Result<()> {
    let (definition, shadow) = (view.definition(), view.shadow());
    drop_tables(connection, definition).await?;
    for table in definition.tables {
        run(connection, format!("ALTER TABLE {shadow}.{table} SET SCHEMA public")).await?;
    }
    forget_shadow(connection, view).await
}

async fn drop_tables(connection: &mut PgConnection, view: &Definition) -> sqlx::Result<()> {
    let tables = view.tables.iter().map(|table| format!("public.{table}")).collect::<Vec<_>>();
    run(connection, format!("DROP TABLE IF EXISTS {}", tables.join(", "))).await
}

async fn take_away(connection: &mut PgConnection, view: ViewName) -> sqlx::Result<()> {
    drop_tables(connection, view.definition()).await?;
    let away = sqlx::query("UPDATE public.views SET digest = NULL WHERE name = $1");
    away.bind(view.as_str()).execute(connection).await.map(drop)
}

async fn want_in(connection: &mut PgConnection, view: ViewName) -> sqlx::Result<()> {
    const WANT: &str = "UPDATE public.views SET wanted = $2, problem = NULL WHERE name = $1";
    let digest = view.definition().digest();
    sqlx::query(WANT).bind(view.as_str()).bind(digest).execute(connection).await.map(drop)
}

/// Ask for a rebuild. One that goes on goes on.
///
/// # Errors
/// When the database fails.
pub async fn want(database: &Database, view: ViewName) -> anyhow::Result<()> {
    let want = async { want_in(&mut *database.pool().acquire().await?, view).await };
    database.within(want).await
}

/// Drop the tables of a view, and its rebuild if there is one.
///
/// # Errors
/// When the database fails.
pub async fn drop_view(database: &Database, view: ViewName) -> anyhow::Result<()> {
    const NOT_WANTED: &str =
        "UPDATE public.views SET wanted = NULL, problem = NULL WHERE name = $1";
    let away = async {
        let mut tx = database.pool().begin().await?;
        lock(&mut tx).await?;
        take_away(&mut tx, view).await?;
        forget_shadow(&mut tx, view).await?;
        sqlx::query(NOT_WANTED).bind(view.as_str()).execute(&mut *tx).await?;
        tx.commit().await
    };
    database.within(away).await
}

/// The views that have tables now.
pub(super) async fn served_now(database: &Database) -> anyhow::Result<Vec<ViewName>> {
    const SERVED: &str = "SELECT name FROM public.views WHERE digest IS NOT NULL";
    let look = || sqlx::query_scalar(SERVED).fetch_all(database.pool());
    let names: Vec<String> = database.read(look).await?;
    let is_served = |view: &ViewName| names.iter().any(|name| name == view.as_str());
    Ok(ViewName::ALL.into_iter().filter(is_served).collect())
}

/// The views that are to be rebuilt by the definitions of this program.
pub(crate) async fn wanted(database: &Database) -> anyhow::Result<Vec<ViewName>> {
    const WANTED: &str = "SELECT name, wanted FROM public.views WHERE wanted IS NOT NULL";
    let look = || sqlx::query_as(WANTED).fetch_all(database.pool());
    let rows: Vec<(String, String)> = database.read(look).await?;
    let is_wanted = |view: &ViewName| {
        let digest = view.definition().digest();
        rows.iter().any(|(name, wanted)| name == view.as_str() && *wanted == digest)
    };
    Ok(ViewName::ALL.into_iter().filter(is_wanted).collect())
}

/// Say what holds a rebuild up.
pub(crate) async fn hold_up(
    database: &Database,
    view: ViewName,
    problem: &str,
) -> anyhow::Result<()> {
    const SAY: &str = "UPDATE public.views SET problem = $2 WHERE name = $1";
    let say = sqlx::query(SAY).bind(view.as_str()).bind(problem).execute(database.pool());
    database.within(say).await.map(drop)
}

#[derive(Deserialize)]
struct Row {
    name: String,
    digest: Option<String>,
    wanted: Option<String>,
    read_records: i64,
    left_offsets: Option<i64>,
    rate: Option<f64>,
    problem: Option<String>,
    rebuilt_at: Option<i64>,
    rebuilt_records: Option<i64>,
    rebuilt_ms: Option<i64>,
    bytes: i64,
}

/// Every view.
///
/// # Errors
/// When the database fails.
pub async fn list(database: &Database) -> anyhow::Result<Vec<ViewStatus>> {
    const LIST: &str = "
        SELECT to_jsonb(row) FROM (
            SELECT name, digest, wanted, read_records, left_offsets, rate, problem,
                (extract(epoch FROM rebuilt_at) * 1000)::bigint AS rebuilt_at,
                rebuilt_records, rebuilt_ms,
                (SELECT coalesce(sum(pg_total_relation_size(to_regclass('public.' || tab))), 0)
                 FROM unnest($1::text[], $2::text[]) AS owned (view, tab)
                 WHERE owned.view = name)::bigint AS bytes
            FROM public.views) AS row";
    let owned = || {
        let tables = |view: ViewName| view.definition().tables.iter().map(move |tab| (view, *tab));
        ViewName::ALL.into_iter().flat_map(tables)
    };
    let look = || {
        sqlx::query_scalar(LIST)
            .bind(owned().map(|(view, _)| view.as_str()).collect::<Vec<_>>())
            .bind(owned().map(|(_, table)| table).collect::<Vec<_>>())
            .fetch_all(database.pool())
    };
    let rows: Vec<Json<Row>> = database.read(look).await?;
    let find = |view: ViewName| rows.iter().find(|row| row.name == view.as_str());
    Ok(ViewName::ALL.into_iter().filter_map(|view| Some(status(view, find(view)?))).collect())
}

fn status(view: ViewName, row: &Row) -> ViewStatus {
    let definition = view.definition();
    let seconds_left = match (row.left_offsets, row.rate) {
        (Some(left), Some(rate)) if rate > 0.0 => Some(left as f64 / rate),
        _ => None,
    };
    let rebuilt = |at: i64| Rebuilt {
        at: crate::views::time(at),
        records: row.rebuilt_records.unwrap_or_default(),
        took_ms: row.rebuilt_ms.unwrap_or_default(),
    };
    ViewStatus {
        name: row.name.clone(),
        state: if row.digest.is_some() { "served" } else { "dropped" }.to_owned(),
        current: row.digest.as_ref() == Some(&definition.digest()),
        topics: definition.topics.iter().map(|topic| topic.name.to_owned()).collect(),
        tables: definition.tables.iter().map(|table| (*table).to_owned()).collect(),
        bytes: row.bytes,
        rebuild: row.wanted.is_some().then(|| RebuildStatus {
            records: row.read_records,
            left: row.left_offsets,
            records_per_second: row.rate,
            seconds_left,
            problem: row.problem.clone(),
        }),
        rebuilt: row.rebuilt_at.map(rebuilt),
    }
}
