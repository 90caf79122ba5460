//! What was seen of a source, and what is wrong with it: without IO.

use std::fmt;
use std::time::Duration;

use contracts::topics::HEARTBEAT_SILENCE_MAX;

use crate::Difference;
use crate::connect::{Failures, Status};
use crate::kafka::Log;
use crate::postgres::Database;
use crate::sources::Source;

/// How far a reader may be behind the log of its database: a tenth of what PostgreSQL keeps for it.
const BEHIND_MAX: i64 = 200 * 1024 * 1024;

/// What is wrong, and what a person can do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The connector, or the table.
    pub subject: String,
    /// What is so.
    pub what: String,
    /// What to do.
    pub way_out: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.subject, self.what, self.way_out)
    }
}

/// What was seen of a source.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its connector.
    pub connector: String,
    /// The state of the connector and its tasks, `failing` if they fail again and again.
    pub state: String,
    /// How often they failed in the last five minutes.
    pub failures: Option<usize>,
    /// The state of the slot, as PostgreSQL calls it, or why there is none.
    pub slot: String,
    /// How far the connector is behind the log of the database, in bytes.
    pub behind: Option<i64>,
    /// The age of the last heartbeat.
    pub heartbeat: Option<Duration>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// What each server said, or why it said nothing.
pub(crate) struct Evidence {
    pub(crate) connector: Result<Option<Status>, String>,
    pub(crate) database: Result<Database, String>,
    pub(crate) log: Result<Log, String>,
    pub(crate) tables: Vec<(String, Result<Difference, String>)>,
}

impl Seen {
    pub(crate) fn judge(source: &Source, evidence: &Evidence) -> Self {
        let Evidence { connector, database, log, tables } = evidence;
        let mut findings = Findings { source, all: Vec::new() };
        findings.connector(connector, log);
        findings.database(database);
        findings.heartbeat(database, log);
        findings.tables(tables);
        let slot = database.as_ref().ok().map(|database| database.slot.as_ref());
        Self {
            connector: source.name.clone(),
            state: state(connector, log),
            failures: log.as_ref().ok().map(|log| log.failures.count),
            slot: match slot {
                None => "-".to_owned(),
                Some(None) => "missing".to_owned(),
                Some(Some(slot)) if !slot.active => format!("{}, not read", slot.wal_status),
                Some(Some(slot)) => slot.wal_status.clone(),
            },
            behind: slot.flatten().map(|slot| slot.behind),
            heartbeat: log.as_ref().ok().and_then(|log| log.heartbeat),
            findings: findings.all,
        }
    }
}

/// Whether no heartbeat can have come yet: the database has just started, as that of a shop that
/// opens, or the connector has read for the first time.
fn has_just_begun(database: &Result<Database, String>, log: &Log) -> bool {
    let Ok(database) = database else { return false };
    let read_for = database.slot.as_ref().and_then(|slot| slot.read_for);
    let first = read_for.filter(|_| log.heartbeat.is_none());
    first.unwrap_or(database.up_for) <= HEARTBEAT_SILENCE_MAX
}

/// Whether its restarts do not mend it.
fn is_failing(log: &Result<Log, String>) -> Option<&Failures> {
    let failures = &log.as_ref().ok()?.failures;
    failures.go_on().then_some(failures)
}

fn state(connector: &Result<Option<Status>, String>, log: &Result<Log, String>) -> String {
    let at_the_moment = match connector {
        Err(_) => return "-".to_owned(),
        Ok(None) => return "missing".to_owned(),
        Ok(Some(status)) => status.out_of_order().map_or("RUNNING", |worker| &worker.state),
    };
    match is_failing(log) {
        Some(_) => "failing".to_owned(),
        None => at_the_moment.to_owned(),
    }
}

struct Findings<'a> {
    source: &'a Source,
    all: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, subject: &str, what: impl Into<String>, way_out: impl Into<String>) {
        let (what, way_out) = (what.into(), way_out.into());
        self.all.push(Finding { subject: subject.to_owned(), what, way_out });
    }

    fn connector(&mut self, connector: &Result<Option<Status>, String>, log: &Result<Log, String>) {
        let name = &*self.source.name.clone();
        let status = match connector {
            Err(error) => {
                return self.add(name, error, "`./shop status` shows the process connect");
            }
            Ok(None) => {
                let registers = "`./shop up` or the caretaker registers it within seconds";
                return self.add(name, "Connect has no such connector", registers);
            }
            Ok(Some(status)) => status,
        };
        if let Some(Failures { count, cause, .. }) = is_failing(log) {
            let cause = cause.as_deref().unwrap_or("no reason given");
            let minutes = Failures::WINDOW.as_secs() / 60;
            let what = format!("it failed {count} times in the last {minutes} minutes: {cause}");
            return self.add(name, what, "mend the cause; it is started again by itself");
        }
        match status.out_of_order() {
            None if status.tasks.is_empty() => {
                self.add(
                    name,
                    "it has no task",
                    "it gets one within seconds, or `./shop restart connect`",
                );
            }
            None => {}
            Some(worker) if worker.has_failed() => {
                let what = format!("it has failed: {}", worker.cause());
                self.add(name, what, "it is started again by itself");
            }
            Some(worker) if worker.state == "PAUSED" || worker.state == "STOPPED" => {
                let resume = format!("`PUT /connectors/{name}/resume` at Connect lets it go on");
                self.add(name, format!("it is {}", worker.state), resume);
            }
            Some(worker) => {
                let soon = "it runs within seconds, or `./shop restart connect`";
                self.add(name, format!("it is {}", worker.state), soon);
            }
        }
    }

    fn database(&mut self, database: &Result<Database, String>) {
        let (name, slot) = (&*self.source.name.clone(), &self.source.slot);
        let Database { slot: place, unpublished, .. } = match database {
            Err(error) => {
                return self.add(name, error, "`./shop status` shows the process postgres");
            }
            Ok(database) => database,
        };
        match place {
            None => self.add(
                name,
                format!("its slot `{slot}` is not there: what is committed now is not captured"),
                self.makes_up(None),
            ),
            Some(place) if place.is_lost() => self.add(
                name,
                format!("its slot `{slot}` is lost: it fell behind by more than PostgreSQL keeps"),
                self.makes_up(None),
            ),
            Some(place) if !place.active => self.add(
                name,
                format!("its slot `{slot}` is not read"),
                "`./shop logs connect` says why, and `./shop restart connect` starts it again",
            ),
            Some(place) if place.behind > BEHIND_MAX => self.add(
                name,
                format!("it is {} MB behind the log of its database", place.behind >> 20),
                "it catches up by itself, or `./shop logs connect` says why not",
            ),
            Some(_) => {}
        }
        for table in unpublished {
            let publication = &self.source.publication;
            let what = format!("it is not in the publication `{publication}`: nothing is captured");
            self.add(&self.subject(table), what, self.makes_up(Some(table)));
        }
    }

    fn heartbeat(&mut self, database: &Result<Database, String>, log: &Result<Log, String>) {
        let name = &*self.source.name.clone();
        match log {
            Err(error) => self.add(name, error, "`./shop status` shows the process kafka"),
            Ok(log) if has_just_begun(database, log) => {}
            Ok(log) if log.heartbeat.is_some_and(|age| age <= HEARTBEAT_SILENCE_MAX) => {}
            Ok(log) => {
                let silence = log
                    .heartbeat
                    .map_or("for a day".to_owned(), |age| format!("for {} s", age.as_secs()));
                let what = format!("nothing has come from it {silence}, not even a heartbeat");
                self.add(name, what, "`./shop logs connect` says why");
            }
        }
    }

    fn tables(&mut self, tables: &[(String, Result<Difference, String>)]) {
        let runs = self.all.is_empty();
        for (table, compared) in tables {
            let makes_up = self.makes_up(Some(table));
            match compared {
                Ok(difference) if difference.is_none() => {}
                Ok(difference) => self.add(
                    &self.subject(table),
                    format!("rows and records differ: {difference}"),
                    if runs { makes_up } else { format!("if they do when it runs, {makes_up}") },
                ),
                Err(error) => {
                    self.add(&self.subject(table), error, "`./shop status` shows what is away");
                }
            }
        }
    }

    fn subject(&self, table: &str) -> String {
        format!("{}.{table}", self.source.database)
    }

    /// How to make up for what was not captured.
    fn makes_up(&self, table: Option<&str>) -> String {
        let tables = match table {
            Some(table) => vec![table],
            None => self.source.tables.iter().map(String::as_str).collect(),
        };
        if tables.iter().all(|table| self.source.topic(table).is_none()) {
            return "`./shop cdc resend-outbox` repairs it".to_owned();
        }
        let commands: Vec<_> =
            tables.iter().map(|table| format!("`./shop cdc resync {table}`")).collect();
        let repair = if commands.len() == 1 { "repairs" } else { "repair" };
        format!("{} {repair} it", commands.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SOURCES;
    use crate::connect::Worker;
    use crate::postgres::Slot;

    fn worker(state: &str) -> Worker {
        Worker { state: state.into(), trace: Some("Outer\nCaused by: Inner".into()) }
    }

    const HOUR: Duration = Duration::from_secs(3600);

    fn slot() -> Slot {
        Slot { active: true, wal_status: "reserved".into(), behind: 100, read_for: Some(HOUR) }
    }

    fn well() -> Evidence {
        let (connector, tasks) = (worker("RUNNING"), vec![worker("RUNNING")]);
        let heartbeat = Some(Duration::from_secs(5));
        Evidence {
            connector: Ok(Some(Status { connector, tasks })),
            database: Ok(Database { slot: Some(slot()), up_for: HOUR, ..Database::default() }),
            log: Ok(Log { heartbeat, failures: Failures::default() }),
            tables: vec![("customers".into(), Ok(Difference::default()))],
        }
    }

    fn findings(change: impl FnOnce(&mut Evidence)) -> Vec<String> {
        let mut evidence = well();
        change(&mut evidence);
        let seen = Seen::judge(&SOURCES[0], &evidence);
        seen.findings.iter().map(ToString::to_string).collect()
    }

    /// The one finding has all of these texts.
    fn says(found: &[String], texts: &[&str]) {
        assert_eq!(found.len(), 1, "{found:?}");
        let missing: Vec<_> = texts.iter().filter(|text| !found[0].contains(**text)).collect();
        assert!(missing.is_empty(), "{missing:?} in {}", found[0]);
    }

    #[test]
    fn a_source_that_is_well_has_no_finding() {
        assert_eq!(findings(|_| {}), [""; 0]);
        assert_eq!(Seen::judge(&SOURCES[0], &well()).state, "RUNNING");
    }

    #[test]
    fn a_failed_task_is_named_although_its_connector_runs() {
        let failed = findings(|evidence| {
            let tasks = vec![worker("FAILED")];
            evidence.connector = Ok(Some(Status { connector: worker("RUNNING"), tasks }));
        });
        says(&failed, &["catalog: it has failed: Inner"]);
    }

    #[test]
    fn what_fails_again_and_again_is_failing_although_it_runs_at_the_moment() {
        let mut evidence = well();
        let cause = Some("too large".to_owned());
        let failures = Failures { count: 3, last: Some(Duration::from_secs(20)), cause };
        evidence.log = Ok(Log { heartbeat: Some(Duration::from_secs(5)), failures });
        let seen = Seen::judge(&SOURCES[0], &evidence);
        assert_eq!(seen.state, "failing");
        says(
            &seen.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            &["failed 3 times in the last 5 minutes", "too large"],
        );
    }

    #[test]
    fn a_connector_that_waits_for_a_person_is_named_with_the_way_out() {
        let paused = findings(|evidence| {
            let (connector, tasks) = (worker("PAUSED"), vec![worker("PAUSED")]);
            evidence.connector = Ok(Some(Status { connector, tasks }));
        });
        says(&paused, &["it is PAUSED", "PUT /connectors/catalog/resume"]);
        says(&findings(|evidence| evidence.connector = Ok(None)), &["no such connector"]);
        let away = findings(|evidence| evidence.connector = Err("Kafka Connect: refused".into()));
        says(&away, &["Kafka Connect: refused", "./shop status"]);
    }

    #[test]
    fn slots_are_named_with_the_way_out() {
        let with = |place: Option<Slot>| {
            findings(|evidence| {
                let up_for = HOUR;
                evidence.database = Ok(Database { slot: place, up_for, ..Database::default() });
            })
        };
        let resync = "`./shop cdc resync products` and `./shop cdc resync customers`";
        says(&with(None), &["slot `catalog` is not there", resync]);
        let lost = Slot { wal_status: "lost".into(), active: false, ..slot() };
        says(&with(Some(lost)), &["slot `catalog` is lost", resync]);
        says(&with(Some(Slot { active: false, ..slot() })), &["is not read"]);
        says(&with(Some(Slot { behind: 300 << 20, ..slot() })), &["300 MB behind"]);
    }

    #[test]
    fn a_table_outside_of_the_publication_is_named() {
        let out = findings(|evidence| {
            let unpublished = vec!["customers".to_owned()];
            evidence.database = Ok(Database { slot: Some(slot()), unpublished, up_for: HOUR });
        });
        says(&out, &["catalog.customers: it is not in", "./shop cdc resync customers"]);
    }

    #[test]
    fn silence_is_a_finding() {
        for heartbeat in [None, Some(Duration::from_secs(46))] {
            let silent = findings(|evidence| {
                evidence.log = Ok(Log { heartbeat, failures: Failures::default() });
            });
            says(&silent, &["not even a heartbeat"]);
        }
    }

    #[test]
    fn a_shop_that_opened_just_now_is_not_silent() {
        let [now, long] = [1, 46].map(Duration::from_secs);
        let found = |up_for, read_for, heartbeat| {
            findings(|evidence| {
                let slot = Some(Slot { read_for, ..slot() });
                evidence.database = Ok(Database { slot, up_for, ..Database::default() });
                evidence.log = Ok(Log { heartbeat, failures: Failures::default() });
            })
        };
        assert_eq!(found(now, None, Some(long)), [""; 0], "the shop was closed for a while");
        assert_eq!(found(long, Some(now), None), [""; 0], "its first connector");
        says(&found(long, Some(now), Some(long)), &["nothing has come from it for 46 s"]);
        says(&found(long, Some(long), None), &["not even a heartbeat"]);
        says(&found(long, None, None), &["not even a heartbeat"]);
    }

    #[test]
    fn rows_that_differ_from_their_records_are_named() {
        let gone = vec!["ada".to_owned()];
        let differs = findings(|evidence| {
            let difference = Difference { gone, ..Difference::default() };
            evidence.tables = vec![("customers".into(), Ok(difference))];
        });
        says(&differs, &["catalog.customers: ", "(ada)", "./shop cdc resync customers"]);
    }

    #[test]
    fn the_outbox_has_a_way_out_of_its_own() {
        let mut evidence = well();
        evidence.database =
            Ok(Database { slot: None, unpublished: vec!["outbox".to_owned()], up_for: HOUR });
        let seen = Seen::judge(&SOURCES[1], &evidence);
        let found: Vec<_> = seen.findings.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|text| text.contains("./shop cdc resend-outbox")), "{found:?}");
        assert_eq!(seen.slot, "missing");
    }
}
