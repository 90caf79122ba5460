//! The settings about callers.

use std::{net::IpAddr, num::NonZeroU32, path::PathBuf};

use axum::http::Uri;
use clap::{
    ArgAction, ArgGroup, ArgMatches, Args, FromArgMatches, ValueEnum,
    builder::NonEmptyStringValueParser, value_parser,
};

use super::Access;
use crate::addresses::http_url;

/// Most requests per second and caller that can be set.
const RATE_MAX: i64 = 1_000_000;
/// Shortest and longest time between two readings of `JWKS_URL`, in seconds.
const REFRESH_S: std::ops::RangeInclusive<i64> = 10..=86_400;

/// Who may call. Without an issuer, all callers may do all: the open profile, which is for the
/// loopback address.
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("jwks").args(["jwks_url", "jwks_file"])))]
pub struct CallerSettings {
    /// Who issues the tokens of callers (`iss`). With it, callers need a token; without it, all
    /// callers may do all.
    #[arg(long, env = "JWT_ISSUER", requires_all = ["jwt_audience", "jwks"])]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub jwt_issuer: Option<String>,

    /// For whom the tokens are (`aud`), such as murmuration.
    #[arg(long, env = "JWT_AUDIENCE", requires = "jwt_issuer")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub jwt_audience: Option<String>,

    /// Where the public keys of the issuer are, as JWK Set: an https URL, or an http one on this
    /// host.
    #[arg(long, env = "JWKS_URL", requires = "jwt_issuer", value_parser = http_url)]
    pub jwks_url: Option<String>,

    /// The certificate of the authority that signs the certificate of JWKS_URL, as a PEM file; by
    /// default those of the system.
    #[arg(long, env = "JWKS_CA_FILE", requires = "jwks_url")]
    pub jwks_ca_file: Option<PathBuf>,

    /// JWKS_URL may be an http URL of another host: who can change what comes from there can be
    /// every caller. For a network where no one else can.
    #[arg(long, env = "JWKS_PLAIN_HTTP", requires = "jwks_url", action = ArgAction::Set)]
    #[arg(default_value_t = false)]
    pub jwks_plain_http: bool,

    /// The public keys of the issuer, as a JWK Set in a file, which is read again as it changes.
    #[arg(long, env = "JWKS_FILE", requires = "jwt_issuer")]
    pub jwks_file: Option<PathBuf>,

    /// How long the keys of JWKS_URL are used before they are read again, in seconds. A key that is
    /// not known yet is asked for at once.
    #[arg(long, env = "JWKS_REFRESH_S", default_value_t = 300)]
    #[arg(value_parser = value_parser!(u32).range(REFRESH_S))]
    pub jwks_refresh_s: u32,

    /// Where a token has the roles, `customer` or `staff`: a JSON pointer into its claims, such as
    /// /realm_access/roles.
    #[arg(long, env = "JWT_ROLES", default_value = "/roles", value_parser = pointer)]
    pub jwt_roles: String,

    /// Who may read /metrics when callers need a token.
    #[arg(long, env = "METRICS_ACCESS", value_enum, default_value_t = MetricsAccess::Staff)]
    pub metrics_access: MetricsAccess,

    /// Public names by which browsers may reach a service that asks for no token, separated by
    /// commas: such as shop.example.org. Addresses, localhost and names without a dot always may.
    #[arg(long, env = "HTTP_HOSTS", value_delimiter = ',', value_parser = host)]
    pub http_hosts: Vec<String>,

    /// Most requests of one caller in a second, in the long run; 429 above it. Without it, there is
    /// no limit. A caller is a subject, or the address of one without a token.
    #[arg(long, env = "RATE_LIMIT_PER_S", value_parser = rate)]
    pub rate_limit_per_s: Option<NonZeroU32>,

    /// Most requests of one caller at once; by default as many as in two seconds.
    #[arg(long, env = "RATE_LIMIT_BURST", requires = "rate_limit_per_s", value_parser = rate)]
    pub rate_limit_burst: Option<NonZeroU32>,
}

/// Who may read `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MetricsAccess {
    /// Every caller, without a token.
    Public,
    /// Staff, with a token.
    #[default]
    Staff,
}

impl MetricsAccess {
    pub(super) fn access(self) -> Access {
        match self {
            Self::Public => Access::Public,
            Self::Staff => Access::Staff,
        }
    }
}

impl Default for CallerSettings {
    /// The open profile, without a limit.
    fn default() -> Self {
        Self {
            jwt_issuer: None,
            jwt_audience: None,
            jwks_url: None,
            jwks_ca_file: None,
            jwks_plain_http: false,
            jwks_file: None,
            jwks_refresh_s: 300,
            jwt_roles: "/roles".to_owned(),
            metrics_access: MetricsAccess::default(),
            http_hosts: Vec::new(),
            rate_limit_per_s: None,
            rate_limit_burst: None,
        }
    }
}

fn host(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    match !text.is_empty() && text.chars().all(is_name) {
        true => Ok(text.to_owned()),
        false => {
            Err("expected a name without scheme and port, such as shop.example.org".to_owned())
        }
    }
}

fn pointer(text: &str) -> Result<String, String> {
    match text.starts_with('/') && text.len() <= 256 {
        true => Ok(text.to_owned()),
        false => Err("expected a JSON pointer such as /roles or /realm_access/roles".to_owned()),
    }
}

fn rate(text: &str) -> Result<NonZeroU32, String> {
    let in_bounds = |rate: &NonZeroU32| i64::from(rate.get()) <= RATE_MAX;
    let rate = text.parse().ok().filter(in_bounds);
    rate.ok_or_else(|| format!("expected a number of requests from 1 to {RATE_MAX}, such as 50"))
}

impl CallerSettings {
    /// Whether those of a program go together, if it has them.
    pub(crate) fn check(matches: &ArgMatches) -> Result<(), String> {
        if !matches.ids().any(|id| id.as_str() == "jwks_url") {
            return Ok(());
        }
        Self::from_arg_matches(matches).map_err(|error| error.to_string())?.check_url()
    }

    /// Without TLS, who is on the way can answer with keys of their own.
    fn check_url(&self) -> Result<(), String> {
        let Some(url) = &self.jwks_url else { return Ok(()) };
        let is_tls = url.starts_with("https:");
        if !is_tls && self.jwks_ca_file.is_some() {
            return Err(format!("JWKS_CA_FILE is of no use with JWKS_URL={url}: say https"));
        }
        match is_tls || is_of_this_host(url) || self.jwks_plain_http {
            true => Ok(()),
            false => Err(format!(
                "JWKS_URL={url} is http, and another host: who is on the way could be every \
                 caller. Say https (JWKS_CA_FILE names an authority that the system does not \
                 know), or JWKS_PLAIN_HTTP=true in a network that no one else can enter"
            )),
        }
    }
}

/// Whether what is sent to `url` stays on this machine.
fn is_of_this_host(url: &str) -> bool {
    let Ok(url) = url.parse::<Uri>() else { return false };
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Config {
        #[command(flatten)]
        callers: CallerSettings,
    }

    fn parse(args: &[&str]) -> Result<CallerSettings, String> {
        let args = std::iter::once("orders").chain(args.iter().copied());
        let config = Config::try_parse_from(args).map_err(|error| error.to_string())?;
        config.callers.check_url()?;
        Ok(config.callers)
    }

    #[test]
    fn without_settings_all_callers_may_do_all() {
        let settings = parse(&[]).unwrap();
        assert!(settings.jwt_issuer.is_none() && settings.rate_limit_per_s.is_none());
        assert_eq!(settings.metrics_access, MetricsAccess::Staff);
    }

    #[test]
    fn half_of_the_settings_is_refused_with_the_way_out() {
        let issuer = ["--jwt-issuer", "http://issuer"];
        let audience = ["--jwt-audience", "shop"];
        let file = ["--jwks-file", "jwks.json"];
        let url = ["--jwks-url", "http://127.0.0.1:8090/jwks.json"];
        parse(&[issuer, audience, file].concat()).unwrap();
        parse(&[issuer, audience, url].concat()).unwrap();
        for (args, hint) in [
            (&[issuer, audience][..], "--jwks-url"),
            (&[issuer, file], "--jwt-audience"),
            (&[audience, file], "--jwt-issuer"),
            (&[url], "--jwt-issuer"),
            (&[issuer, audience, file, url], "cannot be used with"),
            (&[file, ["--jwks-ca-file", "ca.pem"]], "--jwks-url"),
            (&[["--jwt-issuer", ""]], "JWT_ISSUER"),
            (&[["--jwt-roles", "roles"]], "/realm_access/roles"),
            (&[["--http-hosts", "http://shop.example"]], "shop.example.org"),
            (&[["--rate-limit-per-s", "0"]], "from 1 to 1000000"),
            (&[["--rate-limit-burst", "5"]], "--rate-limit-per-s"),
            (&[["--jwks-refresh-s", "1"]], "10..=86400"),
        ] {
            let error = parse(&args.concat()).unwrap_err();
            assert!(error.contains(hint), "{args:?}: {error}");
        }
    }
    #[test]
    fn keys_come_by_tls_or_from_this_host_or_as_a_setting_says() {
        let parse = |url: &str, more: &[&str]| {
            let rest = ["--jwt-issuer", "http://issuer", "--jwt-audience", "shop"];
            parse(&[&rest[..], &["--jwks-url", url], more].concat())
        };
        parse("https://issuer/jwks", &[]).unwrap();
        parse("https://issuer/jwks", &["--jwks-ca-file", "ca.pem"]).unwrap();
        for here in ["http://127.0.0.1:8090/jwks", "http://localhost/jwks", "http://[::1]:1/jwks"] {
            parse(here, &[]).unwrap();
        }
        for there in ["http://issuer/jwks", "http://127.0.0.1.evil/jwks", "http://10.0.0.1/jwks"] {
            let error = parse(there, &[]).unwrap_err();
            assert!(error.contains("https") && error.contains("JWKS_PLAIN_HTTP"), "{error}");
            parse(there, &["--jwks-plain-http=true"]).unwrap();
        }
        let of_no_use = parse("http://localhost/jwks", &["--jwks-ca-file", "ca.pem"]);
        assert!(of_no_use.unwrap_err().contains("JWKS_CA_FILE"));
    }
}
