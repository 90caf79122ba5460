//! [`Cluster`]: where Kafka is, and who we are there, as one text: `127.0.0.1:9092`, or with a
//! login `sasl_ssl://orders@127.0.0.1:9092?password_file=/run/orders&ca_file=/run/ca.pem`.
//! So all who are told where Kafka is can also log in. The password itself is never in it: a file
//! has it.

use std::{
    fmt::{self, Write as _},
    path::PathBuf,
    str::FromStr,
};

/// The SASL mechanism of a login that names none.
const SCRAM: &str = "SCRAM-SHA-512";
/// Those that take a name and a password, and that both librdkafka and Kafka have.
const MECHANISMS: [&str; 3] = [SCRAM, "SCRAM-SHA-256", "PLAIN"];

/// How to talk to a broker, in the words of Kafka's `security.protocol`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// No encryption, no login.
    #[default]
    Plaintext,
    /// Encryption alone.
    Ssl,
    /// A login alone: its password can be read on the way with PLAIN.
    SaslPlaintext,
    /// Both.
    SaslSsl,
}

impl Protocol {
    const ALL: [Self; 4] = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];

    /// As Kafka calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    /// Whether a login is a part of it.
    pub fn has_login(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    /// Whether the brokers show a certificate.
    pub fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text.to_lowercase());
        let known = Self::ALL.map(Self::as_str).join(", ");
        found.ok_or_else(|| format!("`{text}` is no security protocol; there are {known}"))
    }
}

/// Who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user, which Kafka's access control knows as `User:<username>`.
    pub username: String,
    /// The file with the password, and nothing else but a line end.
    pub password_file: PathBuf,
    /// The SASL mechanism.
    pub mechanism: String,
}

/// Where Kafka is, and how to talk to it. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The brokers to start from, as `host:port`, separated by commas.
    pub bootstrap: String,
    /// With or without encryption and login.
    pub protocol: Protocol,
    /// Who we are, where the protocol has a login.
    pub login: Option<Login>,
    /// The certificates of the authorities that sign the brokers' certificates, as PEM; none for
    /// those of the system.
    pub ca_file: Option<PathBuf>,
}

impl Cluster {
    /// Without login and encryption.
    pub fn open(bootstrap: impl Into<String>) -> Self {
        let (bootstrap, protocol) = (bootstrap.into(), Protocol::Plaintext);
        Self { bootstrap, protocol, login: None, ca_file: None }
    }

    /// What is said with single settings.
    ///
    /// # Errors
    /// Which setting is missing, or has no effect with this protocol, and the way out.
    pub fn new(bootstrap: &str, settings: Settings) -> Result<Self, String> {
        let Settings { protocol, username, password_file, mechanism, ca_file } = settings;
        let (bootstrap, word) = (bootstrap.to_owned(), protocol.as_str());
        if ca_file.is_some() && !protocol.has_tls() {
            return Err(format!(
                "KAFKA_CA_FILE has no effect with KAFKA_SECURITY_PROTOCOL={word}: leave it out, or \
                 set KAFKA_SECURITY_PROTOCOL=sasl_ssl"
            ));
        }
        if !protocol.has_login() {
            let mut given = [
                ("KAFKA_SASL_USERNAME", username.is_some()),
                ("KAFKA_SASL_PASSWORD_FILE", password_file.is_some()),
                ("KAFKA_SASL_MECHANISM", mechanism.is_some()),
            ]
            .into_iter();
            return match given.find(|(_, is_given)| *is_given) {
                Some((name, _)) => Err(format!(
                    "{name} has no effect with KAFKA_SECURITY_PROTOCOL={word}: leave it out, or \
                     set KAFKA_SECURITY_PROTOCOL=sasl_ssl"
                )),
                None => Ok(Self { bootstrap, protocol, login: None, ca_file }),
            };
        }
        let needs = |name: &str, what: &str| {
            format!("{name} is missing: with KAFKA_SECURITY_PROTOCOL={word} it names {what}")
        };
        let username = username.filter(|name| !name.is_empty());
        let username = username.ok_or_else(|| needs("KAFKA_SASL_USERNAME", "the user"))?;
        let password_file = password_file
            .ok_or_else(|| needs("KAFKA_SASL_PASSWORD_FILE", "the file with the password"))?;
        let mechanism = mechanism.unwrap_or_else(|| SCRAM.to_owned());
        if !MECHANISMS.contains(&mechanism.as_str()) {
            let known = MECHANISMS.join(", ");
            return Err(format!("KAFKA_SASL_MECHANISM={mechanism} is none of {known}"));
        }
        let login = Some(Login { username, password_file, mechanism });
        Ok(Self { bootstrap, protocol, login, ca_file })
    }
}

/// The single settings of [`Cluster::new`], each by the name of its variable without `KAFKA_`.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the fields of `Cluster` and `Login` say it")]
pub struct Settings {
    pub protocol: Protocol,
    pub username: Option<String>,
    pub password_file: Option<PathBuf>,
    pub mechanism: Option<String>,
    pub ca_file: Option<PathBuf>,
}

impl FromStr for Cluster {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(Self::open(text)) };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (username, bootstrap) = match place.rsplit_once('@') {
            Some((username, bootstrap)) => (Some(decoded(username)?), bootstrap),
            None => (None, place),
        };
        let protocol = scheme.parse()?;
        let mut settings = Settings { protocol, username, ..Settings::default() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value)?;
            match name {
                "password_file" => settings.password_file = Some(value.into()),
                "ca_file" => settings.ca_file = Some(value.into()),
                "mechanism" => settings.mechanism = Some(value),
                _ => {
                    return Err(format!(
                        "`{name}` is unknown in the address of Kafka; there are password_file, \
                         ca_file, mechanism"
                    ));
                }
            }
        }
        Self::new(bootstrap, settings)
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.protocol == Protocol::Plaintext {
            return f.write_str(&self.bootstrap);
        }
        write!(f, "{}://", self.protocol.as_str())?;
        let mut query = Vec::new();
        if let Some(Login { username, password_file, mechanism }) = &self.login {
            write!(f, "{}@", encoded(username))?;
            query.push(format!("password_file={}", encoded(&password_file.to_string_lossy())));
            if mechanism != SCRAM {
                query.push(format!("mechanism={mechanism}"));
            }
        }
        if let Some(file) = &self.ca_file {
            query.push(format!("ca_file={}", encoded(&file.to_string_lossy())));
        }
        f.write_str(&self.bootstrap)?;
        match query.is_empty() {
            true => Ok(()),
            false => write!(f, "?{}", query.join("&")),
        }
    }
}

/// `text` with what has a meaning in the address as `%XX` (RFC 3986).
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

fn decoded(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is not percent-encoded UTF-8");
    let (mut bytes, mut out) = (text.bytes(), Vec::new());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits: Vec<u8> = bytes.by_ref().take(2).collect();
        let digits = std::str::from_utf8(&digits).map_err(|_| wrong())?;
        out.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
    }
    String::from_utf8(out).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(name: &str) -> Settings {
        Settings {
            protocol: Protocol::SaslSsl,
            username: Some(name.to_owned()),
            password_file: Some("/run/my secrets/a&b".into()),
            mechanism: None,
            ca_file: Some("/run/ca.pem".into()),
        }
    }

    #[test]
    fn an_address_says_the_same_after_it_was_written_and_read() {
        let plain = Settings { mechanism: Some("PLAIN".to_owned()), ..login("a@b") };
        for settings in [Settings::default(), login("orders"), plain] {
            let cluster = Cluster::new("one:9092,two:9092", settings).unwrap();
            assert_eq!(cluster.to_string().parse(), Ok(cluster));
        }
        assert_eq!(Cluster::open("127.0.0.1:9092").to_string(), "127.0.0.1:9092");
        let written = Cluster::new("k:9092", login("orders")).unwrap().to_string();
        let expected =
            "sasl_ssl://orders@k:9092?password_file=/run/my%20secrets/a%26b&ca_file=/run/ca.pem";
        assert_eq!(written, expected);
    }

    #[test]
    fn what_is_missing_or_without_effect_is_named_with_the_way_out() {
        let none = Settings::default;
        for (settings, named) in [
            (Settings { username: None, ..login("") }, "KAFKA_SASL_USERNAME is missing"),
            (Settings { password_file: None, ..login("a") }, "KAFKA_SASL_PASSWORD_FILE is missing"),
            (Settings { mechanism: Some("GSSAPI".into()), ..login("a") }, "SCRAM-SHA-512"),
            (Settings { ca_file: Some("/ca".into()), ..none() }, "KAFKA_CA_FILE has no effect"),
            (Settings { username: Some("a".into()), ..none() }, "KAFKA_SECURITY_PROTOCOL=sasl_ssl"),
        ] {
            let error = Cluster::new("k:9092", settings).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
        for (text, named) in [
            ("tls://k:9092", "plaintext, ssl, sasl_plaintext, sasl_ssl"),
            ("ssl://k:9092?cafile=/x", "`cafile` is unknown"),
            ("sasl_ssl://a@k:9092?password_file=%zz", "percent-encoded"),
        ] {
            let error = text.parse::<Cluster>().unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
