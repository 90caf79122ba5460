//! [`Fault`]: what an error of Postgres means, judged in one place.
//!
//! Every class of SQLSTATE (PostgreSQL manual, appendix A), and the codes that are judged apart:
//!
//! | class, code | what it says | fault | why |
//! |---|---|---|---|
//! | 08 | connection exception | `Session` | this connection is broken; a new one may not be |
//! | 08001, 08004 | no connection was made | `Transient` | the next one meets the same server |
//! | 0A000 | a cached plan must not change its result type | `Session` | a new session has no plans |
//! | 0A | a feature that there is not | `Defect` | |
//! | 21, 22, 23, 44 | cardinality, data, constraints, check option | `Refused` | it is this data |
//! | 25 | state of the transaction: read-only (25006), failed (25P02), idle (25P03) or open for too long (25P04) | `Session` | a new session has a new transaction; it is read-only only if the database is |
//! | 26 | the prepared statement is gone | `Session` | a pooler or `DISCARD` has taken it |
//! | 28 | authorization | `Transient` | an operator mends it |
//! | 3D000, 42P01 | no such database, no such table | `Transient` | not yet: before the first migration |
//! | 40 | rollback: deadlock, serialization | `Transient` | the same again may do |
//! | 42 | syntax, no such column, a privilege | `Defect` | program and tables do not fit |
//! | 53 | no memory, disk full, too many connections | `Transient` | a new connection would only take more |
//! | 54, P0 | too large, `RAISE` of a trigger | `Refused` | it is this data |
//! | 55 | lock not available, object in use | `Transient` | |
//! | 57014, 57P03 | cancelled by its time-out; starting or stopping | `Transient` | the session stays; there is no new one yet |
//! | 57P01, 57P02, 57P04, 57P05 | ended: by an operator, a crash, a dropped database, idleness | `Session` | a failover: what is open is gone |
//! | 58, 72 | system error, snapshot too old | `Transient` | |
//! | XX | internal error, corruption | `Defect` | nothing is repeated on what may be damaged |
//! | all others | cursors, savepoints, languages, foreign data, configuration | `Defect` | the services use none of it |

use std::{
    error::Error,
    io::{self, ErrorKind},
};

use anyhow::Chain;
use sqlx::{error::DatabaseError, postgres::PgDatabaseError};

/// What an error means to the caller. The SQLSTATE decides (PostgreSQL manual, appendix A), and
/// where there is none, what the driver says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The server is away, busy, full or shutting down, or it has given the transaction up
    /// (deadlock, lock or statement timeout): the same again, later.
    Transient,
    /// The session is useless: its connection is broken, the server has ended it, it is read-only,
    /// or a plan that it has cached no longer fits the tables. A new session may do at once.
    Session,
    /// The server has understood the statement and refuses the data in it (out of range, not
    /// representable, against a constraint, raised by a trigger): it will never take it.
    Refused,
    /// None of these: the program and its tables do not fit. Only a person can mend it.
    Defect,
}

impl Fault {
    /// The fault that the innermost [`sqlx::Error`] in the chain of `error` means; a
    /// [`Fault::Defect`] where there is none. An [`anyhow::Error`] goes in by `as_ref()`.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        innermost(error).map_or(Self::Defect, Self::of_driver)
    }

    fn of_driver(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => Self::of_server(error.as_ref()),
            sqlx::Error::Io(error) => Self::of_socket(error),
            // What came is no answer to what was asked: the session is out of step.
            sqlx::Error::Protocol(_) => Self::Session,
            sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Tls(_) => Self::Transient,
            sqlx::Error::Encode(_) => Self::Refused,
            // A decoding that fails, a row that is missing, a migration that does not fit; and
            // what later versions of sqlx add.
            _ => Self::Defect,
        }
    }

    fn of_socket(error: &io::Error) -> Self {
        match error.kind() {
            // To repeat at once what has just taken too long would only take twice as long.
            ErrorKind::TimedOut | ErrorKind::ConnectionRefused => Self::Transient,
            _ => Self::Session,
        }
    }

    fn of_server(error: &dyn DatabaseError) -> Self {
        let code = error.code().unwrap_or_default();
        match &*code {
            // The same code says that a feature does not exist, so the place in the server's
            // source decides: the message is translated.
            "0A000" if routine(error) == Some("RevalidateCachedQuery") => Self::Session,
            // The server has not accepted the connection, so no session is broken.
            "08001" | "08004" => Self::Transient,
            // Ended by an administrator, by a crash of another session, with its database, or idle
            // for too long.
            "57P01" | "57P02" | "57P04" | "57P05" => Self::Session,
            // No such database, no such table: not yet, as before the first migration.
            "3D000" | "42P01" => Self::Transient,
            code => Self::of_class(code.get(..2).unwrap_or_default()),
        }
    }

    fn of_class(class: &str) -> Self {
        match class {
            // Connection exception, state of the transaction, a prepared statement that is gone.
            "08" | "25" | "26" => Self::Session,
            // Cardinality violation, data exception, integrity constraint, check option of a view,
            // program limit such as the size of an index row, and RAISE in a trigger.
            "21" | "22" | "23" | "44" | "54" | "P0" => Self::Refused,
            // Authorization that an operator will mend, rollback by deadlock or serialization,
            // insufficient resources, lock not available, operator intervention, system error, a
            // snapshot that is too old.
            "28" | "40" | "53" | "55" | "57" | "58" | "72" => Self::Transient,
            _ => Self::Defect,
        }
    }
}

/// What the server says, in its own words and without where; or else the driver, or the error.
pub fn message(error: &(dyn Error + 'static)) -> String {
    match innermost(error) {
        Some(sqlx::Error::Database(error)) => error.message().to_owned(),
        Some(error) => error.to_string(),
        None => error.to_string(),
    }
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a sqlx::Error> {
    Chain::new(error).filter_map(|error| error.downcast_ref::<sqlx::Error>()).last()
}

fn routine(error: &dyn DatabaseError) -> Option<&str> {
    error.try_downcast_ref::<PgDatabaseError>()?.routine()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_says_without_the_server() {
        let io = |kind: ErrorKind| sqlx::Error::Io(kind.into());
        for (error, fault) in [
            (io(ErrorKind::BrokenPipe), Fault::Session),
            (io(ErrorKind::UnexpectedEof), Fault::Session),
            (io(ErrorKind::TimedOut), Fault::Transient),
            (io(ErrorKind::ConnectionRefused), Fault::Transient),
            (sqlx::Error::Protocol("what?".into()), Fault::Session),
            (sqlx::Error::PoolTimedOut, Fault::Transient),
            (sqlx::Error::Encode("2 GB".into()), Fault::Refused),
            (sqlx::Error::Decode("no status".into()), Fault::Defect),
            (sqlx::Error::RowNotFound, Fault::Defect),
        ] {
            assert_eq!(Fault::of(&error), fault, "{error}");
        }
    }

    #[test]
    fn the_innermost_error_of_the_driver_counts() {
        let error = anyhow::Error::new(sqlx::Error::PoolTimedOut).context("no batch was written");
        assert_eq!(Fault::of(error.as_ref()), Fault::Transient);
        let migration = sqlx::migrate::MigrateError::Execute(sqlx::Error::PoolTimedOut);
        assert_eq!(Fault::of(&sqlx::Error::from(migration)), Fault::Transient);
        assert_eq!(Fault::of(anyhow::anyhow!("no bean").as_ref()), Fault::Defect);
    }

    #[test]
    fn a_class_decides_where_no_code_does() {
        for (class, fault) in [
            ("08", Fault::Session),
            ("22", Fault::Refused),
            ("23", Fault::Refused),
            ("25", Fault::Session),
            ("26", Fault::Session),
            ("40", Fault::Transient),
            ("42", Fault::Defect),
            ("53", Fault::Transient),
            ("XX", Fault::Defect),
            ("", Fault::Defect),
        ] {
            assert_eq!(Fault::of_class(class), fault, "{class}");
        }
    }
}
