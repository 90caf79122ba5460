//! [`Issuer`]: issues tokens for development and for tests. A shop in earnest has an identity
//! provider instead.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};

use crate::Role;

/// What a token says, besides its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who says so.
    pub issuer: String,
    /// For which services.
    pub audience: String,
    /// Of whom.
    pub subject: String,
    /// What they may do.
    pub role: Role,
}

impl Grant {
    /// `issuer` says to `audience` that `subject` has `role`.
    pub fn new(issuer: &str, audience: &str, subject: &str, role: Role) -> Self {
        let [issuer, audience, subject] = [issuer, audience, subject].map(str::to_owned);
        Self { issuer, audience, subject, role }
    }
}

/// Why bytes are no key of an [`Issuer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no private key of Ed25519 in PKCS #8")]
pub struct InvalidKey;

/// A key pair (Ed25519) that signs tokens.
#[derive(Debug)]
pub struct Issuer {
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
    key_id: String,
}

impl Issuer {
    /// With a new key.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[must_use]
    pub fn generate() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let pkcs8 = pkcs8.expect("every system that we run on has random numbers");
        Self::from_pkcs8(pkcs8.as_ref()).expect("it was made a moment ago")
    }

    /// With the key that [`Issuer::pkcs8`] gave.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, InvalidKey> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| InvalidKey)?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        // The thumbprint of RFC 7638: members in this order, without blanks.
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let key_id = URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()));
        Ok(Self { pair, pkcs8: pkcs8.to_vec(), key_id })
    }

    /// The private key. It is a secret.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The id of the key: its thumbprint.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The bytes of the public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The public key as JWK.
    #[must_use]
    pub fn jwk(&self) -> Value {
        json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "x": URL_SAFE_NO_PAD.encode(self.public_key()),
            "kid": self.key_id,
            "alg": "EdDSA",
            "use": "sig",
        })
    }

    /// The set of this one key.
    #[must_use]
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk()] })
    }

    /// A token that holds from now, for `lifetime`.
    #[must_use]
    pub fn token(&self, grant: &Grant, lifetime: Duration) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = json!({
            "iss": grant.issuer,
            "aud": grant.audience,
            "sub": grant.subject,
            "roles": [grant.role.as_str()],
            "iat": now.as_secs(),
            "nbf": now.as_secs(),
            "exp": (now + lifetime).as_secs(),
        });
        self.sign(&self.header(), &claims)
    }

    /// The header of its tokens.
    #[must_use]
    pub fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": self.key_id })
    }

    /// A token of this header and these claims, whatever they say (JWS compact serialization).
    #[must_use]
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}
