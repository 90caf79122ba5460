//! Who calls: each route says who may call it, and a caller shows who they are with a token.
//!
//! - [`Access`] and [`Routes`]: who may call what, as data next to the routes. There is no route
//!   without it: a server takes [`Guarded`] routes alone.
//! - [`Callers`]: believes tokens or not, and counts requests. Without an issuer in the
//!   [`CallerSettings`] it lets all callers do all: the open profile.
//! - [`Caller`]: who it is, for handlers: they show a customer what is that customer's.

mod caller;
mod fetch;
mod guard;
mod hosts;
mod keys;
mod limit;
mod pages;
mod routes;
mod settings;
mod until;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokens::{KeySet, Refusal, Verified, Verifier};

pub use caller::Caller;
pub use routes::{ACCESS, Guarded, Routes};
pub use settings::{CallerSettings, MetricsAccess};

use crate::{Problem, health::Readiness, run::Shutdown};
use keys::{Keys, Source};
use limit::{Bucket, RateLimit};
use tokens::Role;

/// Who may call a route, when callers need a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Every caller, without a token.
    Public,
    /// A customer, for what is theirs, and staff for all. Its handler takes the [`Caller`], and
    /// what is another's is to look as if it were not there.
    Owner,
    /// Staff alone.
    Staff,
}

impl Access {
    /// Its name in the documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Owner => "owner",
            Self::Staff => "staff",
        }
    }
}

/// Judges the callers of one service. Clones are the same judge.
#[derive(Clone)]
pub struct Callers(Arc<Inner>);

struct Inner {
    tokens: Option<Tokens>,
    limit: Option<RateLimit>,
    metrics: Access,
    /// Besides addresses and localhost, for those without a token.
    hosts: hosts::Hosts,
}

struct Tokens {
    verifier: Verifier,
    keys: Keys,
}

/// What reads the keys of the issuer: see [`KeyReader::run`].
pub struct KeyReader {
    keys: Keys,
    source: Source,
}

impl KeyReader {
    /// Reads the keys again and again, until `shutdown`, and keeps `check` up to date: down without
    /// a key, degraded while the keys from before are in use.
    ///
    /// # Errors
    /// Never, so far.
    pub async fn run(self, check: Readiness, shutdown: Shutdown) -> anyhow::Result<()> {
        self.keys.keep(self.source, check, shutdown).await
    }
}

impl Callers {
    /// As `settings` say, with what is to be run if callers need a token.
    pub fn new(settings: &CallerSettings) -> (Self, Option<KeyReader>) {
        let keys = Keys::new(KeySet::default());
        let every = Duration::from_secs(settings.jwks_refresh_s.into());
        let ca_file = settings.jwks_ca_file.clone();
        let url = settings.jwks_url.clone().map(|url| Source::Url { url, ca_file, every });
        let source = settings.jwks_file.clone().map(Source::File).or(url);
        let verifier = settings.jwt_issuer.as_ref().zip(settings.jwt_audience.as_ref());
        let verifier = verifier.map(|(issuer, audience)| {
            Verifier::new(issuer, audience).with_roles_at(&settings.jwt_roles)
        });
        let (tokens, reader) = match verifier.zip(source) {
            Some((verifier, source)) => {
                let reader = KeyReader { keys: keys.clone(), source };
                (Some(Tokens { verifier, keys }), Some(reader))
            }
            None => (None, None),
        };
        let limit = settings.rate_limit_per_s;
        let limit = limit.map(|per_s| RateLimit::new(per_s, settings.rate_limit_burst));
        let metrics = settings.metrics_access.access();
        let hosts = settings.http_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        (Self(Arc::new(Inner { tokens, limit, metrics, hosts })), reader)
    }

    /// All callers may do all.
    pub fn open() -> Self {
        Self::new(&CallerSettings::default()).0
    }

    /// Those whose tokens hold by `keys`, which never change.
    pub fn with_keys(verifier: Verifier, keys: KeySet) -> Self {
        let tokens = Some(Tokens { verifier, keys: Keys::new(keys) });
        let hosts = Arc::default();
        Self(Arc::new(Inner { tokens, limit: None, metrics: Access::Staff, hosts }))
    }

    /// By which names a service may be reached; any, where callers need a token: a page of another
    /// site has none.
    fn hosts(&self) -> Option<hosts::Hosts> {
        self.0.tokens.is_none().then(|| Arc::clone(&self.0.hosts))
    }

    /// Who may read the metrics.
    pub(crate) fn metrics_access(&self) -> Access {
        self.0.metrics
    }

    /// Who the caller is, if they may call a route with this `access`; and until when that holds.
    async fn admit(
        &self,
        access: Access,
        headers: &HeaderMap,
        address: Option<IpAddr>,
    ) -> Result<(Caller, Option<Verified>), Refused> {
        let Some(tokens) = &self.0.tokens else {
            self.count(Bucket::of_address(address))?;
            return Ok((Caller::open(), None));
        };
        if access == Access::Public {
            self.count(Bucket::of_address(address))?;
            return Ok((Caller::anonymous(), None));
        }
        let verified = match tokens.verify(headers).await {
            Ok(verified) => verified,
            Err(refused) => {
                self.count(Bucket::of_address(address))?;
                return Err(refused);
            }
        };
        self.count(Bucket::Identity(verified.identity.to_string()))?;
        match (access, verified.identity.role()) {
            (Access::Staff, Role::Customer) => Err(Refused::NotAllowed("it is for staff")),
            (_, Role::Customer | Role::Staff) => {
                Ok((Caller::known(verified.identity.clone()), Some(verified)))
            }
        }
    }

    fn count(&self, bucket: Bucket) -> Result<(), Refused> {
        self.0.limit.as_ref().map_or(Ok(()), |limit| limit.take(bucket).map_err(Refused::TooMany))
    }
}

impl Tokens {
    async fn verify(&self, headers: &HeaderMap) -> Result<Verified, Refused> {
        let token = bearer(headers)?;
        let wrong = |refusal: Refusal| match refusal {
            Refusal::NoRole => Refused::NotAllowed("the token has no role of this shop"),
            refusal => Refused::Wrong(refusal),
        };
        let id = tokens::key_id(token).map_err(wrong)?;
        let keys = self.keys.with(&id).await.filter(|keys| !keys.is_empty());
        let keys = keys.ok_or(Refused::NoKeys)?;
        self.verifier.verify(&keys, token).map_err(wrong)
    }
}

/// The token of the header, the only place where one is looked for (RFC 6750, 2.1).
fn bearer(headers: &HeaderMap) -> Result<&str, Refused> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(Refused::NoToken) };
    let text = value.to_str().unwrap_or_default();
    let token = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match (token, values.next()) {
        (Some((_, token)), None) => Ok(token.trim_matches(' ')),
        _ => Err(Refused::Wrong(Refusal::Malformed("there is no single bearer token".to_owned()))),
    }
}

/// Why a caller is not served. The answer does not say more than the caller needs (RFC 6750, 3.1).
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("there is no token")]
    NoToken,
    #[error("the token: {0}")]
    Wrong(Refusal),
    #[error("{0}")]
    NotAllowed(&'static str),
    #[error("the keys of the issuer are not known, or not all of them")]
    NoKeys,
    #[error("too many requests")]
    TooMany(u32),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let unauthenticated = || {
            let title = "A token is needed that holds";
            Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", title)
        };
        let (problem, challenge) = match self {
            Self::NoToken => (unauthenticated(), Some("Bearer")),
            Self::Wrong(_) => (unauthenticated(), Some(r#"Bearer error="invalid_token""#)),
            Self::NotAllowed(_) => {
                (Problem::forbidden(), Some(r#"Bearer error="insufficient_scope""#))
            }
            Self::NoKeys => {
                (Problem::unavailable("this caller cannot be known at the moment"), None)
            }
            Self::TooMany(seconds) => {
                let title = "Too many requests";
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many", title);
                (problem.retry_after(seconds), None)
            }
        };
        let mut response = problem.into_response();
        if let Some(challenge) = challenge {
            let value = HeaderValue::from_static(challenge);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        response
    }
}
