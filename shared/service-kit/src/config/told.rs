//! The settings that a process runs with, as its first log line tells them: no secret is in it.

use std::sync::OnceLock;

use clap::{ArgMatches, Command};

/// In place of a secret.
const HIDDEN: &str = "***";

/// A setting whose name has one of these is never told, unless it names a file.
const SECRETS: [&str; 4] = ["password", "secret", "token", "credential"];

static SETTINGS: OnceLock<Vec<(String, String)>> = OnceLock::new();

/// Keeps the settings of this process, for [`settings`].
pub(super) fn keep(command: &Command, matches: &ArgMatches) {
    let _ = SETTINGS.set(told(command, matches));
}

/// The settings of this process, defaults included, by their variables; empty before they are read.
pub(crate) fn settings() -> &'static [(String, String)] {
    SETTINGS.get().map_or(&[], Vec::as_slice)
}

fn told(command: &Command, matches: &ArgMatches) -> Vec<(String, String)> {
    let mut told = Vec::new();
    for arg in command.get_arguments() {
        let Some(name) = arg.get_env() else { continue };
        let name = name.to_string_lossy().into_owned();
        let values = matches.try_get_raw(arg.get_id().as_str()).ok().flatten();
        let values = values.into_iter().flatten().map(|value| value.to_string_lossy());
        let value = values.map(|value| without_secrets(&value)).collect::<Vec<_>>().join(",");
        let lower = name.to_lowercase();
        let is_secret = SECRETS.iter().any(|secret| lower.contains(secret));
        let is_secret = is_secret && !lower.ends_with("_file");
        told.push((name, if is_secret { HIDDEN.to_owned() } else { value }));
    }
    told
}

/// `value`, without the password of a URL and without its parameters: for logs and answers.
pub fn without_secrets(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?***"));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => {
            let user = user
                .split_once(':')
                .map_or(user.to_owned(), |(user, _)| format!("{user}:{HIDDEN}"));
            format!("{user}@{host}")
        }
        None => authority.to_owned(),
    };
    format!("{scheme}://{authority}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    #[test]
    fn settings_are_told_by_their_variables_with_their_defaults() {
        let arg = |name: &'static str, env: &'static str| Arg::new(name).long(name).env(env);
        let command = Command::new("orders")
            .arg(arg("batch", "TOLD_BATCH").default_value("500"))
            .arg(arg("url", "TOLD_URL"))
            .arg(arg("key", "TOLD_API_TOKEN"))
            .arg(arg("file", "TOLD_PASSWORD_FILE").default_value("/run/secrets/orders"))
            .arg(arg("extra", "TOLD_EXTRA"));
        let args = ["orders", "--url", "postgres://shop:pw@db/view", "--key", "abc"];
        let told = told(&command, &command.clone().get_matches_from(args));
        let told: Vec<_> = told.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            told,
            [
                "TOLD_BATCH=500",
                "TOLD_URL=postgres://shop:***@db/view",
                "TOLD_API_TOKEN=***",
                "TOLD_PASSWORD_FILE=/run/secrets/orders",
                "TOLD_EXTRA="
            ]
        );
    }

    #[test]
    fn a_url_keeps_all_but_its_secrets() {
        for (value, told) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("postgres://shop@127.0.0.1:5433/view", "postgres://shop@127.0.0.1:5433/view"),
            ("postgres://a:b:c@d@host/x", "postgres://a:***@host/x"),
            ("postgres://host/x?user=a&password=b", "postgres://host/x?***"),
            ("127.0.0.1:9092,127.0.0.1:9093", "127.0.0.1:9092,127.0.0.1:9093"),
        ] {
            assert_eq!(without_secrets(value), told);
        }
    }
}
