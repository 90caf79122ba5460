//! The settings of Kafka, in one place for every client of a service: where it is, and our login.

use std::path::PathBuf;

use clap::{ArgMatches, Args, FromArgMatches};
use streams::cluster::{Cluster, Protocol, Settings};

/// Where Kafka is, and who we are there.
#[derive(Clone, Debug, Args)]
pub struct KafkaConfig {
    /// Kafka brokers to start from, as host:port, separated by commas.
    #[arg(long, env = "KAFKA_BOOTSTRAP", default_value = "127.0.0.1:9092")]
    pub kafka_bootstrap: String,

    /// How to talk to the brokers: plaintext, ssl, sasl_plaintext, sasl_ssl.
    #[arg(long, env = "KAFKA_SECURITY_PROTOCOL", default_value = Protocol::Plaintext.as_str())]
    pub kafka_security_protocol: Protocol,

    /// The user, with a protocol that has a login. Kafka's access control calls it User:<name>.
    #[arg(long, env = "KAFKA_SASL_USERNAME")]
    pub kafka_sasl_username: Option<String>,

    /// The file with the user's password and nothing else. It is read whenever a client is made, so
    /// a new password needs no restart.
    #[arg(long, env = "KAFKA_SASL_PASSWORD_FILE")]
    pub kafka_sasl_password_file: Option<PathBuf>,

    /// How to log in: SCRAM-SHA-512 (the default), SCRAM-SHA-256, PLAIN.
    #[arg(long, env = "KAFKA_SASL_MECHANISM")]
    pub kafka_sasl_mechanism: Option<String>,

    /// The certificate of the authority that signs the brokers' certificates, as a PEM file; by
    /// default those of the system.
    #[arg(long, env = "KAFKA_CA_FILE")]
    pub kafka_ca_file: Option<PathBuf>,
}

impl KafkaConfig {
    /// The address for `streams-kafka`: [`Cluster`] as a text.
    ///
    /// # Errors
    /// Which setting is missing or has no effect; [`parse_config`](super::parse_config) has
    /// refused it at the start.
    pub fn address(&self) -> Result<String, String> {
        let settings = Settings {
            protocol: self.kafka_security_protocol,
            username: self.kafka_sasl_username.clone(),
            password_file: self.kafka_sasl_password_file.clone(),
            mechanism: self.kafka_sasl_mechanism.clone(),
            ca_file: self.kafka_ca_file.clone(),
        };
        Ok(Cluster::new(&self.kafka_bootstrap, settings)?.to_string())
    }
}

/// Whether the settings of Kafka go together, for a program that has them.
pub(super) fn check(matches: &ArgMatches) -> Result<(), String> {
    if !matches.ids().any(|id| id.as_str() == "kafka_security_protocol") {
        return Ok(());
    }
    let config = KafkaConfig::from_arg_matches(matches).map_err(|error| error.to_string())?;
    config.address().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Config {
        #[command(flatten)]
        kafka: KafkaConfig,
    }

    fn address(args: &[&str]) -> Result<String, String> {
        let args = std::iter::once("orders").chain(args.iter().copied());
        let matches = <Config as clap::CommandFactory>::command().try_get_matches_from(args);
        let matches = matches.map_err(|error| error.to_string())?;
        check(&matches)?;
        Config::from_arg_matches(&matches).unwrap().kafka.address()
    }

    #[test]
    fn without_a_protocol_the_address_is_the_brokers() {
        assert_eq!(address(&[]).unwrap(), "127.0.0.1:9092");
    }

    #[test]
    fn a_login_is_a_part_of_the_address_and_its_password_is_not() {
        let args = [
            "--kafka-bootstrap=k:9093",
            "--kafka-security-protocol=SASL_SSL",
            "--kafka-sasl-username=orders",
            "--kafka-sasl-password-file=/run/secrets/orders",
            "--kafka-ca-file=/run/secrets/ca.pem",
        ];
        let expected = "sasl_ssl://orders@k:9093?password_file=/run/secrets/orders\
                        &ca_file=/run/secrets/ca.pem";
        assert_eq!(address(&args).unwrap(), expected);
    }

    #[test]
    fn settings_that_do_not_go_together_are_named_at_the_start() {
        let error = address(&["--kafka-security-protocol=sasl_ssl"]).unwrap_err();
        assert!(error.contains("KAFKA_SASL_USERNAME"), "{error}");
        let error = address(&["--kafka-security-protocol=tls"]).unwrap_err();
        assert!(error.contains("KAFKA_SECURITY_PROTOCOL") && error.contains("sasl_ssl"), "{error}");
    }
}
