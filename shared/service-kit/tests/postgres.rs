//! Goal: whatever happens to a database and its sessions, the service goes on without a restart,
//! and an error says what it means.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{sync::Arc, time::Duration};

use service_kit::postgres::{Database, Fault, Settings, SynchronousCommit, database_url};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testkit::{PATIENCE, Proxy, postgres::Postgres, wait_for};
use tokio::{sync::Barrier, task::JoinSet};

const SETTINGS: Settings = Settings::new("kit", SynchronousCommit::On);

/// A database of its own, on the server that the tests share.
struct Trial {
    database: Database,
    url: String,
    _postgres: Arc<Postgres>,
}

impl Trial {
    async fn start(name: &str, settings: Settings) -> Self {
        let postgres = Postgres::shared().await.unwrap();
        let url = postgres.database(name).await.unwrap();
        Self { database: open(&url, settings), url, _postgres: postgres }
    }

    /// Done by another client, on its own connection.
    async fn elsewhere(&self, sql: &str) {
        let mut connection = connect(&self.url).await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    }

    async fn show(&self, setting: &str) -> String {
        let look = || {
            let show = sqlx::query_scalar("SELECT current_setting($1)").bind(setting.to_owned());
            show.fetch_one(self.database.pool())
        };
        self.database.read(look).await.unwrap()
    }

    /// What `sql` fails with.
    async fn fault(&self, sql: &str) -> Fault {
        let work = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(self.database.pool());
        let error = self.database.within(work).await.expect_err(sql);
        Fault::of(error.as_ref())
    }
}

fn open(url: &str, settings: Settings) -> Database {
    Database::new(&database_url(url).unwrap(), settings)
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Uses as many sessions at once as the pool has, and says how many have failed with what.
async fn use_all(database: &Database, sql: &'static str) -> Vec<Fault> {
    let together = Arc::new(Barrier::new(SETTINGS.connections_max as usize));
    let mut tasks = JoinSet::new();
    for _ in 0..SETTINGS.connections_max {
        let (database, together) = (database.clone(), Arc::clone(&together));
        tasks.spawn(async move {
            let work = async {
                let mut session = database.pool().acquire().await?;
                together.wait().await;
                sqlx::query(sql).fetch_all(&mut *session).await
            };
            database.within(work).await.map_err(|error| Fault::of(error.as_ref())).err()
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_its_limits_and_its_durability_whatever_the_server_and_the_url_say() {
    let trial = Trial::start("settings", SETTINGS).await;
    let url = format!("{}?options=-c%20synchronous_commit%3Doff", trial.url);
    let trial = Trial { database: open(&url, SETTINGS), ..trial };
    for (setting, value) in [
        ("application_name", "kit"),
        ("synchronous_commit", "on"),
        ("statement_timeout", "10s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "15s"),
        ("tcp_keepalives_idle", "10"),
        ("client_min_messages", "warning"),
    ] {
        assert_eq!(trial.show(setting).await, value, "{setting}");
    }
    let settings = Settings { synchronous_commit: SynchronousCommit::Off, ..SETTINGS };
    let trial = Trial { database: open(&trial.url, settings), ..trial };
    assert_eq!(trial.show("synchronous_commit").await, "off");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_no_longer_fits_costs_its_sessions_and_nothing_else() {
    const READ: &str = "SELECT name FROM things";
    const WRITE: &str = "INSERT INTO things VALUES ('cup') RETURNING name";
    let trial = Trial::start("plans", SETTINGS).await;
    trial.elsewhere("CREATE TABLE things (name varchar(9) NOT NULL)").await;
    let database = &trial.database;
    assert_eq!(use_all(database, READ).await, []);
    assert_eq!(use_all(database, WRITE).await, []);

    trial.elsewhere("ALTER TABLE things ALTER name TYPE text").await;
    let names = database.read(|| sqlx::query_scalar(READ).fetch_all(database.pool())).await;
    let names: Vec<String> = names.expect("a reader does not notice");
    assert_eq!(names.len(), 10);
    assert_eq!(use_all(database, READ).await, [], "every other session was replaced too");

    assert_eq!(use_all(database, WRITE).await, []);
    trial.elsewhere("ALTER TABLE things ALTER name TYPE varchar(99)").await;
    assert_eq!(trial.fault(WRITE).await, Fault::Session, "a writer is told");
    assert_eq!(use_all(database, WRITE).await, [], "and the next one succeeds");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_a_time_when_the_database_was_read_only_do_not_stay() {
    const WRITE: &str = "INSERT INTO things VALUES (1)";
    let trial = Trial::start("read_only", SETTINGS).await;
    trial.elsewhere("CREATE TABLE things (n bigint)").await;
    let database = &trial.database;
    database.check_writable().await.unwrap();

    trial.elsewhere("ALTER DATABASE read_only SET default_transaction_read_only = on").await;
    // Only new sessions are read-only.
    let fresh = Trial { database: open(&trial.url, SETTINGS), ..trial };
    let database = &fresh.database;
    assert_eq!(use_all(database, "SELECT 1").await, [], "all sessions are open");
    assert_eq!(fresh.fault(WRITE).await, Fault::Session);
    let error = database.check_writable().await.unwrap_err();
    assert_eq!(error.to_string(), "the database is read-only");
    assert_eq!(use_all(database, "SELECT n FROM things").await, [], "it can be read");

    fresh
        .elsewhere(
            "BEGIN READ WRITE;
             ALTER DATABASE read_only RESET default_transaction_read_only;
             COMMIT",
        )
        .await;
    // Ten sessions of the time before are left. Nothing is restarted.
    wait_for("the check to pass", PATIENCE, || database.check_writable()).await;
    assert_eq!(use_all(database, WRITE).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_the_server_has_ended_are_replaced() {
    const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE datname = 'ended' AND application_name = 'kit'";
    let trial = Trial::start("ended", SETTINGS).await;
    assert_eq!(use_all(&trial.database, "SELECT 1").await, []);
    trial.elsewhere(END).await;
    assert_eq!(trial.show("application_name").await, "kit", "a reader does not notice");
    assert_eq!(use_all(&trial.database, "SELECT 1").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_done_when_its_session_is_released_and_undone_when_it_is_dropped() {
    let settings = Settings { work_timeout: Duration::from_secs(5), ..SETTINGS };
    let trial = Trial::start("session", settings).await;
    for (end, fault) in [(None, Some(Fault::Transient)), (Some("COMMIT"), None)] {
        let mut session = trial.database.session().await.unwrap();
        session.execute("BEGIN").await.unwrap();
        session.execute("CREATE TABLE things (n bigint)").await.unwrap();
        if let Some(end) = end {
            session.execute(end).await.unwrap();
            session.release();
        } else {
            drop(session);
        }
        let look = sqlx::query("SELECT n FROM things").execute(trial.database.pool());
        let looked = trial.database.within(look).await;
        assert_eq!(looked.err().map(|error| Fault::of(error.as_ref())), fault, "{end:?}");
    }
    let mut session = trial.database.session().await.unwrap();
    let error = session.execute("SELECT pg_sleep(60)").await.unwrap_err();
    assert!(error.to_string().contains("no answer within 5 s"), "{error:#}");
    assert_eq!(Fault::of(error.as_ref()), Fault::Transient);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_a_session_costs_the_sessions_that_are_as_useless() {
    const READ: &str = "SELECT name FROM things";
    let trial = Trial::start("session_plans", SETTINGS).await;
    trial.elsewhere("CREATE TABLE things (name varchar(9) NOT NULL)").await;
    assert_eq!(use_all(&trial.database, READ).await, []);
    trial.elsewhere("ALTER TABLE things ALTER name TYPE text").await;
    let mut session = trial.database.session().await.unwrap();
    let read = async |connection: &mut PgConnection| {
        sqlx::query(READ).fetch_all(connection).await.map(drop)
    };
    let error = session.run(read).await.unwrap_err();
    assert_eq!(Fault::of(error.as_ref()), Fault::Session, "{error:#}");
    drop(session);
    assert_eq!(use_all(&trial.database, READ).await, [], "nine others had the same plan");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_says_is_judged_by_its_code() {
    let settings = Settings {
        statement_timeout: Duration::from_millis(200),
        lock_timeout: Duration::from_millis(50),
        idle_in_transaction_timeout: Duration::from_millis(50),
        ..SETTINGS
    };
    let trial = Trial::start("faults", settings).await;
    assert_eq!(trial.fault("SELECT * FROM things").await, Fault::Transient, "no table yet");
    let tables = "
        CREATE TABLE things (n bigint PRIMARY KEY CHECK (n <> 13), name text);
        CREATE INDEX by_name ON things (name);
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN RAISE EXCEPTION 'not seven'; END$$;
        CREATE TRIGGER refuse BEFORE INSERT ON things
            FOR EACH ROW WHEN (new.n = 7) EXECUTE FUNCTION refuse();
        INSERT INTO things VALUES (1)";
    trial.elsewhere(tables).await;
    for refused in [
        "INSERT INTO things VALUES (13)",
        "INSERT INTO things VALUES (1)",
        "INSERT INTO things VALUES (NULL)",
        "INSERT INTO things VALUES (99999999999999999999)",
        "INSERT INTO things VALUES (2, chr(0))",
        "INSERT INTO things VALUES (7)",
        // An index row has a largest size, and these do not compress.
        "INSERT INTO things SELECT 2, string_agg(md5(n::text), '') FROM generate_series(1, 999) n",
    ] {
        assert_eq!(trial.fault(refused).await, Fault::Refused, "{refused}");
    }
    for defect in ["SELECT nothing FROM things", "SELECT n FROM"] {
        assert_eq!(trial.fault(defect).await, Fault::Defect, "{defect}");
    }
    assert_eq!(trial.fault("SELECT pg_sleep(60)").await, Fault::Transient);

    let mut failed = trial.database.pool().begin().await.unwrap();
    sqlx::query("SELECT nothing FROM things").execute(&mut *failed).await.unwrap_err();
    let error = sqlx::query("SELECT 1").execute(&mut *failed).await.unwrap_err();
    assert_eq!(Fault::of(&error), Fault::Session, "{error}");
    drop(failed);

    let mut other = connect(&trial.url).await;
    sqlx::raw_sql("BEGIN; LOCK things").execute(&mut other).await.unwrap();
    assert_eq!(trial.fault("INSERT INTO things VALUES (3)").await, Fault::Transient);
    drop(other);

    let mut tx = trial.database.pool().begin().await.unwrap();
    wait_for("the silent session to be ended", PATIENCE, || async {
        const LEFT: &str = "SELECT count(*) FROM pg_stat_activity
                            WHERE datname = 'faults' AND state = 'idle in transaction'";
        let count: i64 = sqlx::query_scalar(LEFT).fetch_one(trial.database.pool()).await.unwrap();
        if count == 0 { Ok(()) } else { Err(count) }
    })
    .await;
    let error = sqlx::query("SELECT 1").execute(&mut *tx).await.unwrap_err();
    assert_eq!(trial.database.judge(&error), Fault::Session, "{error}");
}

/// A database with one connection, which is behind a proxy.
async fn behind_proxy(name: &str, work_timeout: Duration) -> (Database, Trial, Proxy) {
    let settings = Settings { connections_max: 1, work_timeout, ..SETTINGS };
    let trial = Trial::start(name, settings).await;
    let server = trial.url.split(['@', '/']).nth(3).unwrap();
    let proxy = Proxy::before(server).await.unwrap();
    let database = open(&format!("postgres://postgres@{}/{name}", proxy.address()), settings);
    assert_eq!(one(&database).await.unwrap(), 1);
    (database, trial, proxy)
}

/// Waits until the session lies idle. While it is given back, the driver's own trial comes after
/// ours, without a time limit: a silence that begins between the two holds the place.
async fn given_back(database: &Database) {
    let idle = || async { if database.pool().num_idle() == 1 { Ok(()) } else { Err("in use") } };
    wait_for("the session to be given back", PATIENCE, idle).await;
}

async fn one(database: &Database) -> anyhow::Result<i32> {
    database.read(|| sqlx::query_scalar("SELECT 1").fetch_one(database.pool())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_died_in_silence_costs_its_time_limit_and_no_place_in_the_pool() {
    let (database, _trial, proxy) = behind_proxy("silent", Duration::from_millis(300)).await;
    for _ in 0..3 {
        given_back(&database).await;
        proxy.silence();
        let error = one(&database).await.unwrap_err();
        assert_eq!(Fault::of(error.as_ref()), Fault::Transient, "{error:#}");
        assert!(error.to_string().contains("no answer within 0.3 s"), "{error:#}");
        wait_for("the only place in the pool", PATIENCE, || one(&database)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gives_up_on_a_silent_connection_keeps_no_place_in_the_pool_either() {
    let (database, _trial, proxy) = behind_proxy("given_up", Duration::from_secs(15)).await;
    given_back(&database).await;
    proxy.silence();
    let gave_up = tokio::time::timeout(Duration::from_millis(100), one(&database)).await;
    assert!(gave_up.is_err(), "nothing answers");
    // The session that was given up is tried first; that takes most of the time for a place.
    wait_for("the only place in the pool", PATIENCE, || one(&database)).await;
}
