//! Every route of a service with every kind of caller, and from the pages of others. The routes
//! come from the service's OpenAPI document, so a new one is tried as well.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header};
use ring::hmac;
use serde_json::{Value, json};
use tokens::{Grant, Issuer, KeySet, Role, Verifier};

/// Who issues the tokens of [`Badges`], and for whom.
pub const ISSUER: &str = "https://issuer.example";
/// See [`ISSUER`].
pub const AUDIENCE: &str = "shop";

const HOUR: Duration = Duration::from_secs(3600);

/// Tokens that are believed, and tokens that must not be.
pub struct Badges {
    issuer: Issuer,
    stranger: Issuer,
}

impl Default for Badges {
    fn default() -> Self {
        Self { issuer: Issuer::generate(), stranger: Issuer::generate() }
    }
}

impl Badges {
    /// What believes in them.
    pub fn verifier(&self) -> Verifier {
        Verifier::new(ISSUER, AUDIENCE)
    }

    /// The public key.
    ///
    /// # Panics
    /// Never: it is one.
    pub fn keys(&self) -> KeySet {
        KeySet::parse(self.issuer.jwks().to_string().as_bytes()).expect("it is a set of keys")
    }

    /// The issuer of the tokens.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// A customer's token.
    pub fn customer(&self, id: &str) -> String {
        self.issuer.token(&Grant::new(ISSUER, AUDIENCE, id, Role::Customer), HOUR)
    }

    /// A token of staff.
    pub fn staff(&self) -> String {
        self.issuer.token(&Grant::new(ISSUER, AUDIENCE, "ops", Role::Staff), HOUR)
    }

    /// What stands in `Authorization` and is not believed, each with its name; none for no header.
    /// But for one thing, each would be staff.
    pub fn not_believed(&self) -> Vec<(&'static str, Option<String>)> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "ops", "roles": ["staff"], "exp": now + 3600,
        });
        let header = self.issuer.header();
        let with = |base: &Value, name: &str, value: Value| {
            let mut changed = base.clone();
            changed[name] = value;
            changed
        };
        let claiming = |name, value| self.issuer.sign(&header, &with(&claims, name, value));
        let bearer = |token: String| Some(format!("Bearer {token}"));
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let unsigned = format!("{}.{}.", part(&with(&header, "alg", json!("none"))), part(&claims));
        let hmac = {
            let message =
                format!("{}.{}", part(&with(&header, "alg", json!("HS256"))), part(&claims));
            let key = hmac::Key::new(hmac::HMAC_SHA256, self.issuer.public_key());
            let tag = hmac::sign(&key, message.as_bytes());
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
        };
        let good = self.issuer.sign(&header, &claims);
        let (message, _) = good.rsplit_once('.').expect("a token has three parts");
        vec![
            ("no token", None),
            ("another scheme", Some("Basic b3BzOm9wcw==".to_owned())),
            ("no JWT", bearer("ops".to_owned())),
            ("expired", bearer(claiming("exp", json!(now - 3600)))),
            ("not yet", bearer(claiming("nbf", json!(now + 3600)))),
            ("unsigned", bearer(unsigned)),
            ("without its signature", bearer(format!("{message}."))),
            ("HMAC with the public key", bearer(hmac)),
            ("wrong signer", bearer(self.stranger.sign(&header, &claims))),
            ("unknown key", bearer(self.stranger.sign(&self.stranger.header(), &claims))),
            ("wrong audience", bearer(claiming("aud", json!("elsewhere")))),
            ("wrong issuer", bearer(claiming("iss", json!("https://elsewhere.example")))),
        ]
    }
}

/// An operation of an OpenAPI document.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The method.
    pub method: Method,
    /// The path, with `{parameters}`.
    pub path: String,
    /// Who may call it: `public`, `owner` or `staff`.
    pub access: String,
}

/// A request for an operation about what belongs to [`OWNER`].
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Path and query.
    pub target: String,
    /// The same about what there is not, where that is another target: it must look the same to
    /// another customer.
    pub missing: Option<String>,
    /// The body.
    pub body: Option<Value>,
}

impl Sample {
    /// A request for `target`, with another one for what there is not.
    pub fn of(target: impl Into<String>, missing: Option<String>) -> Self {
        Self { target: target.into(), missing, body: None }
    }

    /// A request for an operation without parameters in its path.
    ///
    /// # Panics
    /// When it has some: then a test says what they are.
    pub fn plain(operation: &Operation) -> Self {
        let path = &operation.path;
        assert!(!path.contains('{'), "{} {path} needs a sample", operation.method);
        Self::of(path.clone(), None)
    }

    /// The same with a body.
    #[must_use]
    pub fn with(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

/// The customer to whom samples belong.
pub const OWNER: &str = "ada";
/// A customer to whom none belongs.
pub const OTHER: &str = "eve";

/// The operations of `document`.
///
/// # Panics
/// When one of them does not say who may call it.
pub fn operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().expect("a document has paths");
    let mut all = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("a path has operations") {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            let access = operation["x-access"].as_str();
            let access = access.unwrap_or_else(|| panic!("{method} {path}: who may call it?"));
            all.push(Operation { method, path: path.clone(), access: access.to_owned() });
        }
    }
    all
}

/// Tries every operation of `document` at `base` with every kind of caller, and those that change
/// something from the pages of others. `samples` gives requests for each: at least one.
///
/// # Panics
/// When a caller gets more or less than they should.
pub async fn assert_callers(
    base: &str,
    document: &str,
    badges: &Badges,
    samples: impl Fn(&Operation) -> Vec<Sample>,
) {
    let site = Site { base, client: Client::new() };
    let operations = operations(&serde_json::from_str(document).expect("it is JSON"));
    assert!(!operations.is_empty(), "there is nothing to try");
    for operation in &operations {
        let samples = samples(operation);
        let name = format!("{} {}", operation.method, operation.path);
        assert!(!samples.is_empty(), "{name} needs a sample");
        for sample in &samples {
            site.none_from_a_foreign_page(&name, operation, sample, badges).await;
            site.none_without_a_token(&name, operation, sample, badges).await;
            match operation.access.as_str() {
                "public" => {}
                "owner" => site.the_owner_alone(&name, operation, sample, badges).await,
                "staff" => site.staff_alone(&name, operation, sample, badges).await,
                other => panic!("{name}: there is no access {other}"),
            }
        }
    }
}

struct Site<'a> {
    base: &'a str,
    client: Client,
}

impl Site<'_> {
    fn request(&self, operation: &Operation, target: &str, body: Option<&Value>) -> RequestBuilder {
        let url = format!("{}{target}", self.base);
        let request = self.client.request(operation.method.clone(), url);
        match body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    async fn ask(
        &self,
        operation: &Operation,
        (target, body): (&str, Option<&Value>),
        authorization: Option<&str>,
    ) -> Response {
        let mut request = self.request(operation, target, body);
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        request.send().await.expect("the service answers")
    }

    /// What the browser of staff sends for a page that is open in it.
    async fn none_from_a_foreign_page(
        &self,
        name: &str,
        operation: &Operation,
        sample: &Sample,
        badges: &Badges,
    ) {
        let changes = ![Method::GET, Method::HEAD].contains(&operation.method);
        for origin in ["http://elsewhere.example", "null"] {
            let request = self.request(operation, &sample.target, sample.body.as_ref());
            let request = request.bearer_auth(badges.staff()).header(header::ORIGIN, origin);
            let answer = request.send().await.expect("the service answers");
            let status = answer.status();
            if !changes {
                assert!(!is_refusal(status), "{name}: a page reads: {status}");
                continue;
            }
            assert_eq!(status, StatusCode::FORBIDDEN, "{name}: by the page at {origin}");
            let problem: Value = answer.json().await.expect("the problem is JSON");
            assert_eq!(problem["code"], "foreign_origin", "{name}: {problem}");
        }
    }

    async fn none_without_a_token(
        &self,
        name: &str,
        operation: &Operation,
        sample: &Sample,
        badges: &Badges,
    ) {
        for (how, authorization) in badges.not_believed() {
            let what = (sample.target.as_str(), sample.body.as_ref());
            let answer = self.ask(operation, what, authorization.as_deref()).await;
            let status = answer.status();
            if operation.access == "public" {
                assert!(!is_refusal(status), "{name} is for all; {how}: {status}");
                continue;
            }
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{name}: {how}");
            let challenge = answer.headers()[header::WWW_AUTHENTICATE].to_str().expect("a text");
            let expected = match how {
                "no token" => "Bearer",
                _ => r#"Bearer error="invalid_token""#,
            };
            assert_eq!(challenge, expected, "{name}: {how}");
            assert_silent(answer, &format!("{name}: {how}")).await;
        }
    }

    async fn staff_alone(
        &self,
        name: &str,
        operation: &Operation,
        sample: &Sample,
        badges: &Badges,
    ) {
        let what = (sample.target.as_str(), sample.body.as_ref());
        for customer in [OWNER, OTHER] {
            let token = format!("Bearer {}", badges.customer(customer));
            let answer = self.ask(operation, what, Some(&token)).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}: {customer}");
            assert_silent(answer, &format!("{name}: {customer}")).await;
        }
        let token = format!("Bearer {}", badges.staff());
        let status = self.ask(operation, what, Some(&token)).await.status();
        assert!(!is_refusal(status), "{name}: staff: {status}");
    }

    async fn the_owner_alone(
        &self,
        name: &str,
        operation: &Operation,
        sample: &Sample,
        badges: &Badges,
    ) {
        let what = (sample.target.as_str(), sample.body.as_ref());
        let other = format!("Bearer {}", badges.customer(OTHER));
        let answer = self.ask(operation, what, Some(&other)).await;
        match &sample.missing {
            None => {
                assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}: another customer");
                assert_silent(answer, &format!("{name}: another customer")).await;
            }
            Some(missing) => {
                let none = self.ask(operation, (missing, what.1), Some(&other)).await;
                let (seen, none) = (told(answer).await, told(none).await);
                assert_eq!(seen, none, "{name}: another's is not like what there is not");
            }
        }
        for token in [badges.customer(OWNER), badges.staff()] {
            let token = format!("Bearer {token}");
            let status = self.ask(operation, what, Some(&token)).await.status();
            assert!(status.is_success(), "{name}: the owner or staff: {status}");
        }
    }
}

fn is_refusal(status: StatusCode) -> bool {
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status)
}

/// What an answer says besides ids and times, which differ anyway. Of a stream, its beginning.
async fn told(mut answer: Response) -> (StatusCode, Option<String>, String) {
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    let status = answer.status();
    if kind.as_deref() == Some("text/event-stream") {
        let first = answer.chunk().await.expect("the stream begins").unwrap_or_default();
        return (status, kind, String::from_utf8_lossy(&first).into_owned());
    }
    let text = answer.text().await.expect("the answer is whole");
    (status, kind, without_ids(&text))
}

/// `text` with a `#` in place of each UUID.
fn without_ids(text: &str) -> String {
    const LENGTH: usize = 36;
    let mut rest = text;
    let mut plain = String::new();
    while !rest.is_empty() {
        let word = rest.get(..LENGTH).filter(|word| uuid::Uuid::try_parse(word).is_ok());
        match word {
            Some(_) => {
                plain.push('#');
                rest = &rest[LENGTH..];
            }
            None => {
                let next = rest.chars().next().expect("it is not empty");
                plain.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    plain
}

/// The answer is a problem, and says nothing but what kind it is.
async fn assert_silent(answer: Response, what: &str) {
    let kind = answer.headers()[header::CONTENT_TYPE].to_str().expect("a text").to_owned();
    assert_eq!(kind, "application/problem+json", "{what}");
    let problem: Value = answer.json().await.expect("the problem is JSON");
    let mut members: Vec<_> = problem.as_object().expect("an object").keys().collect();
    members.sort();
    assert_eq!(members, ["code", "status", "title", "type"], "{what}: {problem}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_out_of_a_text() {
        let text = r#"{"id":"daa471e7-e9f4-5fd7-bc57-aba657105f18","é":1}"#;
        assert_eq!(without_ids(text), r##"{"id":"#","é":1}"##);
    }

    #[test]
    #[should_panic(expected = "GET /new: who may call it?")]
    fn an_operation_that_does_not_say_who_may_call_it_is_found() {
        operations(&json!({ "paths": { "/new": { "get": {} } } }));
    }
}
