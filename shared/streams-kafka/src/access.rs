//! Access to a Kafka that does not let all do everything: the settings of a login, and what the
//! brokers refuse, in words that say what helps.

use anyhow::Context;
use rdkafka::{
    ClientConfig, ClientContext,
    consumer::BaseConsumer,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use streams::{
    Cluster,
    cluster::{Login, Protocol},
    refusals::Refusal,
};

const RIGHT: &str = "Kafka denies it: no rule of its access control allows it to this user \
                     (`./shop acls` lists the rules)";

/// Where the cluster of `address` is, and the login there. The password is read each time: a client
/// that is made again has the one of now.
///
/// # Errors
/// When the address is none, or a file of it cannot be read.
pub(crate) fn set_cluster(config: &mut ClientConfig, address: &str) -> anyhow::Result<()> {
    let cluster: Cluster = address.parse().map_err(anyhow::Error::msg)?;
    config.set("bootstrap.servers", &cluster.bootstrap);
    if cluster.protocol == Protocol::Plaintext {
        return Ok(());
    }
    config.set("security.protocol", cluster.protocol.as_str());
    if let Some(file) = &cluster.ca_file {
        let found = fs::File::open(file).map(drop);
        found.with_context(|| unreadable("KAFKA_CA_FILE", file, "the CA's certificate as PEM"))?;
        config.set("ssl.ca.location", file.to_string_lossy());
    }
    if let Some(Login { username, password_file, mechanism }) = &cluster.login {
        let what = format!("the password of `{username}`");
        let unreadable = || unreadable("KAFKA_SASL_PASSWORD_FILE", password_file, &what);
        let password = fs::read_to_string(password_file).with_context(unreadable)?;
        let password = password.trim_end_matches(['\r', '\n']);
        anyhow::ensure!(!password.is_empty(), "{}: it is empty", unreadable());
        config
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", username)
            .set("sasl.password", password);
    }
    Ok(())
}

fn unreadable(setting: &str, file: &Path, what: &str) -> String {
    format!("{setting}: no use of {}, which should have {what}", file.display())
}

/// What the brokers have refused to one client, as its callbacks have heard it last.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Option<String>>>);

impl Heard {
    /// A client reports an error; most are none of this.
    pub(crate) fn hear(&self, error: &KafkaError, reason: &str) {
        let Some(refusal) = refusal(error) else { return };
        refusal.count();
        let says = match refusal {
            Refusal::Login => format!(
                "Kafka refuses the login, {reason}: compare KAFKA_SASL_USERNAME and the file \
                 KAFKA_SASL_PASSWORD_FILE with the users of Kafka"
            ),
            Refusal::Tls => format!(
                "no TLS with Kafka, {reason}: compare KAFKA_CA_FILE with the authority of Kafka's \
                 certificate"
            ),
            Refusal::Right => format!("{RIGHT}: {reason}"),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(says);
    }

    /// What was refused since the last call.
    pub(crate) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// `error`, with the refusal that is behind it.
    pub(crate) fn explain(&self, error: impl Into<anyhow::Error>) -> anyhow::Error {
        let error = explain(error.into());
        match self.take() {
            Some(why) if !is_explained(&error) => error.context(why),
            _ => error,
        }
    }

    /// The same for an error of a client that this thread polls, as long as nothing is assigned to
    /// it: what it was refused is heard only when it is polled.
    pub(crate) fn explain_of<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        error: impl Into<anyhow::Error>,
    ) -> anyhow::Error {
        const EVENTS_MAX: usize = 100;
        for _ in 0..EVENTS_MAX {
            if consumer.poll(Duration::ZERO).is_none() {
                break;
            }
        }
        self.explain(error)
    }
}

/// An error that is the answer to a call: what it says of a right that is missing is counted here.
pub(crate) fn explain(error: anyhow::Error) -> anyhow::Error {
    let kafka = error.chain().find_map(|cause| cause.downcast_ref::<KafkaError>());
    match kafka.and_then(refusal) {
        Some(Refusal::Right) if !is_explained(&error) => {
            Refusal::Right.count();
            error.context(RIGHT)
        }
        _ => error,
    }
}

/// Whether it says already that a right is missing: an error passes several of these.
fn is_explained(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains(RIGHT)
}

fn refusal(error: &KafkaError) -> Option<Refusal> {
    let code = match error {
        KafkaError::Transaction(inner) => inner.code(),
        other => other.rdkafka_error_code()?,
    };
    refusal_of(code)
}

/// What an answer of this kind refuses.
pub(crate) fn refusal_of(code: RDKafkaErrorCode) -> Option<Refusal> {
    use RDKafkaErrorCode as Code;
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed => Some(Refusal::Login),
        Code::SSL => Some(Refusal::Tls),
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => Some(Refusal::Right),
        _ => None,
    }
}

/// The context of a client that only asks.
#[derive(Clone, Default)]
pub(crate) struct Asking(pub(crate) Heard);

impl ClientContext for Asking {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("{error}: {reason}");
        self.0.hear(&error, reason);
    }
}

impl ConsumerContext for Asking {}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(address: &str) -> anyhow::Result<ClientConfig> {
        let mut config = ClientConfig::new();
        set_cluster(&mut config, address)?;
        Ok(config)
    }

    #[test]
    fn a_login_has_the_password_of_its_file_as_it_is_now() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let address = format!("sasl_ssl://orders@k:9093?password_file={}", file.path().display());
        let empty = format!("{:#}", settings(&address).unwrap_err());
        assert!(empty.contains("KAFKA_SASL_PASSWORD_FILE") && empty.contains("empty"), "{empty}");
        for password in ["one", "two"] {
            fs::write(file.path(), format!("{password}\n")).unwrap();
            let config = settings(&address).unwrap();
            assert_eq!(config.get("sasl.password"), Some(password));
            assert_eq!(config.get("sasl.username"), Some("orders"));
            assert_eq!(config.get("bootstrap.servers"), Some("k:9093"));
            assert!(!format!("{config:?}").contains(password), "{config:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_its_setting() {
        for (address, setting) in [
            ("sasl_ssl://orders@k:9093?password_file=/none", "KAFKA_SASL_PASSWORD_FILE"),
            ("ssl://k:9093?ca_file=/none", "KAFKA_CA_FILE"),
        ] {
            let error = format!("{:#}", settings(address).unwrap_err());
            assert!(error.contains(setting) && error.contains("/none"), "{error}");
        }
    }

    #[test]
    fn a_refusal_says_what_helps_and_is_counted() {
        let heard = Heard::default();
        for (code, refusal, words) in [
            (RDKafkaErrorCode::Authentication, Refusal::Login, "KAFKA_SASL_PASSWORD_FILE"),
            (RDKafkaErrorCode::SSL, Refusal::Tls, "KAFKA_CA_FILE"),
            (RDKafkaErrorCode::GroupAuthorizationFailed, Refusal::Right, "./shop acls"),
        ] {
            let before = refusal.heard();
            heard.hear(&KafkaError::Global(code), "as it says");
            let told = format!("{:#}", heard.explain(anyhow::anyhow!("no answer")));
            assert!(told.contains(words) && told.contains("as it says"), "{told}");
            assert!(told.ends_with("no answer") && refusal.heard() > before, "{told}");
        }
        heard.hear(&KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "all");
        assert_eq!(heard.take(), None);
    }
}
