//! [`KeySet`]: the public keys of an issuer.

use std::collections::BTreeMap;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use crate::ring_provider;

/// Most keys of a set. An issuer has two while it changes from one to the next.
pub const KEYS_MAX: usize = 64;

/// Longest id of a key, in bytes.
const KEY_ID_BYTES_MAX: usize = 256;

/// Why a text is no key set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeySet {
    /// Not JSON, or without `keys`.
    #[error("this is no JWK Set (RFC 7517): {0}")]
    NoSet(String),
    /// More than [`KEYS_MAX`].
    #[error("the JWK Set has {0} keys; at most {KEYS_MAX} are taken")]
    TooMany(usize),
    /// No key that we could check a token with.
    #[error(
        "none of the {0} keys of the JWK Set can be used: each needs a `kid`, and is RSA, EC with \
         P-256 or P-384, or Ed25519, for signatures"
    )]
    NoneUsable(usize),
}

/// The public keys of an issuer, by their ids.
#[derive(Debug, Clone, Default)]
pub struct KeySet(BTreeMap<String, Key>);

/// A public key. What it verifies follows from the key, never from a token: so a token cannot
/// choose the algorithm, and the bytes of a public key are never the secret of an HMAC.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) decoding: DecodingKey,
    pub(crate) algorithms: Vec<Algorithm>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a JWK Set. Keys that we cannot use are left out, as RFC 7517 (section 5) asks; of two
    /// keys with one id, the first counts.
    ///
    /// # Errors
    /// When it is none, or none of its keys can be used.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidKeySet> {
        ring_provider::install();
        let set: Set =
            serde_json::from_slice(json).map_err(|why| InvalidKeySet::NoSet(why.to_string()))?;
        let count = set.keys.len();
        if count > KEYS_MAX {
            return Err(InvalidKeySet::TooMany(count));
        }
        let mut keys = BTreeMap::new();
        for (id, key) in set.keys.into_iter().filter_map(usable) {
            keys.entry(id).or_insert(key);
        }
        if keys.is_empty() { Err(InvalidKeySet::NoneUsable(count)) } else { Ok(Self(keys)) }
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is a key with this id.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    pub(crate) fn key(&self, id: &str) -> Option<&Key> {
        self.0.get(id)
    }
}

/// The key with its id, if it is a public key for signatures that we can check.
fn usable(value: Value) -> Option<(String, Key)> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let id = jwk.common.key_id.clone().filter(|id| (1..=KEY_ID_BYTES_MAX).contains(&id.len()))?;
    let is_for_signatures =
        matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let verifies = jwk.common.key_operations.as_ref();
    let verifies = verifies.is_none_or(|allowed| allowed.contains(&KeyOperations::Verify));
    let mut algorithms = algorithms_of(&jwk.algorithm);
    if let Some(named) = jwk.common.key_algorithm {
        algorithms.retain(|algorithm| is_named(*algorithm, named));
    }
    if !is_for_signatures || !verifies || algorithms.is_empty() {
        return None;
    }
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    Some((id, Key { decoding, algorithms }))
}

/// What a key of this kind may verify: asymmetric algorithms alone. A symmetric key verifies
/// nothing.
fn algorithms_of(parameters: &AlgorithmParameters) -> Vec<Algorithm> {
    match parameters {
        AlgorithmParameters::RSA(_) => vec![Algorithm::RS256, Algorithm::PS256],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => vec![],
        },
        AlgorithmParameters::OctetKeyPair(key) => match key.curve {
            EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
            _ => vec![],
        },
        _ => vec![],
    }
}

/// Whether the `alg` of a key is this one.
fn is_named(algorithm: Algorithm, named: KeyAlgorithm) -> bool {
    matches!(
        (algorithm, named),
        (Algorithm::RS256, KeyAlgorithm::RS256)
            | (Algorithm::PS256, KeyAlgorithm::PS256)
            | (Algorithm::ES256, KeyAlgorithm::ES256)
            | (Algorithm::ES384, KeyAlgorithm::ES384)
            | (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Issuer;

    fn parse(keys: Value) -> Result<KeySet, InvalidKeySet> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn keys_that_we_cannot_use_are_left_out() {
        let ours = Issuer::generate().jwk();
        let id = ours["kid"].as_str().unwrap().to_owned();
        let with = |name: &str, value: Value| {
            let mut key = Issuer::generate().jwk();
            key[name] = value;
            key
        };
        let set = parse(json!([
            { "kty": "oct", "kid": "secret", "k": "AAAA" },
            { "kty": "new", "kid": "unknown" },
            with("use", json!("enc")),
            with("alg", json!("HS256")),
            with("key_ops", json!(["sign"])),
            with("kid", json!("")),
            ours,
        ]));
        let set = set.unwrap();
        assert_eq!((set.len(), set.has(&id)), (1, true), "{set:?}");
    }

    #[test]
    fn what_is_no_set_of_keys_says_why() {
        let error = KeySet::parse(b"<html>").unwrap_err();
        assert!(matches!(error, InvalidKeySet::NoSet(_)), "{error}");
        assert!(matches!(parse(json!([])), Err(InvalidKeySet::NoneUsable(0))));
        let oct = json!([{ "kty": "oct", "kid": "secret", "k": "AAAA" }]);
        assert!(matches!(parse(oct), Err(InvalidKeySet::NoneUsable(1))));
        let many: Vec<_> = (0..=KEYS_MAX).map(|_| json!({})).collect();
        assert!(matches!(parse(json!(many)), Err(InvalidKeySet::TooMany(65))));
    }
}
