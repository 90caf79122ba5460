//! [`Verifier`]: judges a token, and says who the caller is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;

use crate::{Identity, KeySet, Role, ring_provider};

/// Longest token, in bytes. It is a header, and headers are bounded; a token of ours has 400.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// By how many seconds the clock of the issuer may differ from ours.
const LEEWAY_S: u64 = 30;

/// What stands for the end of a token that ends after all that a clock can say.
const LONG: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Why a token is not believed. It is for our log; the caller hears nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too long, no token, without a key's id, or with a header that we do not take.
    #[error("it is no token of ours: {0}")]
    Malformed(String),
    /// No key has this id.
    #[error("no key has the id {0:?}")]
    UnknownKey(String),
    /// The signature or a claim is wrong.
    #[error("it does not hold: {0}")]
    Wrong(String),
    /// It holds, and has no role of ours.
    #[error("it has no role of this shop")]
    NoRole,
}

/// What is expected of tokens.
#[derive(Debug, Clone)]
pub struct Verifier {
    issuer: String,
    audience: String,
    /// Where the roles are: a JSON pointer (RFC 6901).
    roles: String,
}

/// A token that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who the caller is.
    pub identity: Identity,
    /// When the token ends, with the leeway.
    pub expires: SystemTime,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    /// One string. `jsonwebtoken` alone would take a list that has ours in it.
    iss: String,
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

impl Verifier {
    /// Believes tokens that `issuer` has issued for `audience`; their claim `roles` has the roles.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        let (issuer, audience) = (issuer.into(), audience.into());
        Self { issuer, audience, roles: "/roles".to_owned() }
    }

    /// The roles are at this JSON pointer instead, such as `/realm_access/roles`.
    #[must_use]
    pub fn with_roles_at(mut self, pointer: impl Into<String>) -> Self {
        self.roles = pointer.into();
        self
    }

    /// Who the caller with `token` is: the signature is by one of `keys`, issuer and audience are
    /// ours, it has not expired and holds already, each by half a minute.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn verify(&self, keys: &KeySet, token: &str) -> Result<Verified, Refusal> {
        ring_provider::install();
        let id = key_id(token)?;
        let key = keys.key(&id).ok_or(Refusal::UnknownKey(id))?;
        let mut validation = Validation::default();
        validation.algorithms.clone_from(&key.algorithms);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = decode::<Claims>(token, &key.decoding, &validation);
        let Claims { sub, exp, iss, others } =
            claims.map_err(|error| Refusal::Wrong(error.to_string()))?.claims;
        if iss != self.issuer {
            return Err(Refusal::Wrong("the issuer is another one".to_owned()));
        }
        let role = self.role(others).ok_or(Refusal::NoRole)?;
        let identity = Identity::new(role, sub);
        let identity = identity.map_err(|error| Refusal::Wrong(error.to_string()))?;
        let age = Duration::try_from_secs_f64(exp + LEEWAY_S as f64).unwrap_or(Duration::MAX);
        let expires = UNIX_EPOCH.checked_add(age).unwrap_or_else(|| SystemTime::now() + LONG);
        Ok(Verified { identity, expires })
    }

    /// Staff may do all that a customer may, so of both roles it is the one that counts.
    fn role(&self, claims: serde_json::Map<String, Value>) -> Option<Role> {
        let claims = Value::Object(claims);
        let roles = claims.pointer(&self.roles)?.as_array()?;
        let has = |role: Role| roles.iter().any(|named| named.as_str() == Some(role.as_str()));
        [Role::Staff, Role::Customer].into_iter().find(|role| has(*role))
    }
}

/// The id of the key that a token names, if it looks like a token of ours.
///
/// # Errors
/// [`Refusal::Malformed`].
pub fn key_id(token: &str) -> Result<String, Refusal> {
    let malformed = |why: &str| Refusal::Malformed(why.to_owned());
    if token.len() > TOKEN_BYTES_MAX {
        return Err(malformed("it is too long"));
    }
    // An algorithm that `jsonwebtoken` does not know, such as `none`, is an error here.
    let header = decode_header(token).map_err(|error| Refusal::Malformed(error.to_string()))?;
    if header.crit.is_some() {
        return Err(malformed("it demands an extension"));
    }
    // RFC 9068 has `at+jwt` for access tokens; many issuers write `JWT`.
    let known = ["at+jwt", "application/at+jwt", "jwt"];
    let is_known = |kind: &str| known.iter().any(|known| known.eq_ignore_ascii_case(kind));
    if !header.typ.as_deref().is_none_or(is_known) {
        return Err(malformed("it is of another type"));
    }
    header.kid.ok_or_else(|| malformed("it names no key"))
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use ring::{
        hmac,
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };
    use serde_json::json;

    use super::*;
    use crate::{Grant, Issuer};

    fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    fn keys(set: &Value) -> KeySet {
        KeySet::parse(set.to_string().as_bytes()).unwrap()
    }

    fn verifier() -> Verifier {
        Verifier::new("http://issuer", "shop")
    }

    fn claims() -> Value {
        json!({
            "iss": "http://issuer", "aud": "shop", "sub": "ada", "roles": ["customer"],
            "exp": now() + 60,
        })
    }

    /// `base` with these members; null takes one away.
    fn with(mut base: Value, members: Value) -> Value {
        for (name, value) in members.as_object().unwrap() {
            match value {
                Value::Null => drop(base.as_object_mut().unwrap().remove(name)),
                value => base[name] = value.clone(),
            }
        }
        base
    }

    /// Who the caller is.
    fn caller(verifier: &Verifier, keys: &KeySet, token: &str) -> Result<Identity, Refusal> {
        verifier.verify(keys, token).map(|verified| verified.identity)
    }

    fn part(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    #[test]
    fn a_token_of_the_issuer_says_who_the_caller_is() {
        let issuer = Issuer::generate();
        let keys = keys(&issuer.jwks());
        let grant = Grant::new("http://issuer", "shop", "ops", Role::Staff);
        let token = issuer.token(&grant, Duration::from_secs(60));
        assert_eq!(caller(&verifier(), &keys, &token).unwrap().to_string(), "staff:ops");
        let both = with(claims(), json!({ "roles": ["customer", "staff"], "aud": ["x", "shop"] }));
        let token = issuer.sign(&issuer.header(), &both);
        assert_eq!(caller(&verifier(), &keys, &token).unwrap().role(), Role::Staff);
        let nested = json!({ "roles": null, "realm_access": { "roles": ["customer"] } });
        let token = issuer.sign(&issuer.header(), &with(claims(), nested));
        let there = verifier().with_roles_at("/realm_access/roles");
        assert_eq!(caller(&there, &keys, &token).unwrap().to_string(), "customer:ada");
    }

    #[test]
    fn a_wrong_claim_is_refused() {
        let issuer = Issuer::generate();
        let keys = keys(&issuer.jwks());
        for wrong in [
            json!({ "exp": now() - 60 }),
            json!({ "exp": null }),
            json!({ "exp": "never" }),
            json!({ "exp": -1 }),
            json!({ "nbf": now() + 60 }),
            json!({ "iss": "http://other" }),
            json!({ "iss": ["http://issuer", "http://other"] }),
            json!({ "iss": null }),
            json!({ "aud": "other" }),
            json!({ "aud": ["other"] }),
            json!({ "aud": [] }),
            json!({ "aud": null }),
            json!({ "sub": null }),
            json!({ "sub": "" }),
            json!({ "sub": 7 }),
            json!({ "sub": "a\nb" }),
        ] {
            let token = issuer.sign(&issuer.header(), &with(claims(), wrong.clone()));
            let refusal = verifier().verify(&keys, &token).unwrap_err();
            assert!(matches!(refusal, Refusal::Wrong(_)), "{wrong}: {refusal}");
        }
        for roles in [json!(null), json!([]), json!("staff"), json!(["admin"]), json!([1])] {
            let token = issuer.sign(&issuer.header(), &with(claims(), json!({ "roles": roles })));
            assert_eq!(verifier().verify(&keys, &token), Err(Refusal::NoRole), "{roles}");
        }
    }

    #[test]
    fn clocks_may_differ_by_half_a_minute() {
        let issuer = Issuer::generate();
        let keys = keys(&issuer.jwks());
        for close in [json!({ "exp": now() - 10 }), json!({ "nbf": now() + 10 })] {
            let token = issuer.sign(&issuer.header(), &with(claims(), close));
            verifier().verify(&keys, &token).unwrap();
        }
    }

    #[test]
    fn a_header_that_is_not_ours_is_refused() {
        let issuer = Issuer::generate();
        let keys = keys(&issuer.jwks());
        for wrong in [
            json!({ "kid": null }),
            json!({ "kid": "other" }),
            json!({ "typ": "dpop+jwt" }),
            json!({ "crit": ["exp"] }),
            json!({ "alg": "none" }),
            json!({ "alg": "ES256" }),
            json!({ "alg": "HS256" }),
        ] {
            let token = issuer.sign(&with(issuer.header(), wrong.clone()), &claims());
            assert!(verifier().verify(&keys, &token).is_err(), "{wrong}");
        }
        for text in ["", "a", "a.b", "a.b.c", "..", "a.b.c.d"] {
            let refusal = verifier().verify(&keys, text).unwrap_err();
            assert!(matches!(refusal, Refusal::Malformed(_)), "{text}: {refusal}");
        }
        let long = "a".repeat(TOKEN_BYTES_MAX + 1);
        assert!(matches!(key_id(&long), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn a_key_that_a_token_brings_counts_for_nothing() {
        let (issuer, other) = (Issuer::generate(), Issuer::generate());
        let keys = keys(&issuer.jwks());
        for id in [issuer.key_id(), other.key_id()] {
            let brought = json!({ "kid": id, "jwk": other.jwk(), "jku": "http://elsewhere/jwks" });
            let token = other.sign(&with(other.header(), brought), &claims());
            assert!(verifier().verify(&keys, &token).is_err(), "{id}");
        }
    }

    #[test]
    fn the_public_key_is_no_secret_of_an_hmac() {
        let issuer = Issuer::generate();
        let keys = keys(&issuer.jwks());
        let header = with(issuer.header(), json!({ "alg": "HS256" }));
        let message = format!("{}.{}", part(&header), part(&claims()));
        let jwk = issuer.jwk()["x"].as_str().unwrap().to_owned();
        for secret in [issuer.public_key(), jwk.as_bytes()] {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag));
            assert!(matches!(verifier().verify(&keys, &token), Err(Refusal::Wrong(_))));
        }
    }

    #[test]
    fn a_token_without_or_with_another_signature_is_refused() {
        let (issuer, other) = (Issuer::generate(), Issuer::generate());
        let keys = keys(&issuer.jwks());
        let signed = issuer.sign(&issuer.header(), &claims());
        let (message, _) = signed.rsplit_once('.').unwrap();
        let forged = other.sign(&issuer.header(), &claims());
        for token in [format!("{message}."), format!("{message}.AAAA"), forged] {
            let refusal = verifier().verify(&keys, &token).unwrap_err();
            assert!(matches!(refusal, Refusal::Wrong(_)), "{refusal}");
        }
    }

    #[test]
    fn elliptic_curves_sign_as_well() {
        let (kind, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
        let keys = keys(&json!({ "keys": [
            { "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "ec", "alg": "ES256" }
        ] }));
        let header = json!({ "alg": "ES256", "kid": "ec" });
        let message = format!("{}.{}", part(&header), part(&claims()));
        let signature = pair.sign(&random, message.as_bytes()).unwrap();
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert_eq!(caller(&verifier(), &keys, &token).unwrap().to_string(), "customer:ada");
    }

    /// RFC 7515, appendix A.2: the signature of RS256 is right, and the claims are not for us.
    #[test]
    fn rsa_signs_as_well() {
        let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qP\
                 CJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47s\
                 oMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2\
                 R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoud\
                 F8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
        let jwk = json!({ "kty": "RSA", "n": n, "e": "AQAB", "kid": "rsa" });
        let keys = keys(&json!({ "keys": [jwk] }));
        let key = keys.key("rsa").unwrap();
        let message = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh\
                 0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4B\
                 h-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZ\
                 LgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d\
                 O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6\
                 LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        let verify = |message: &str, algorithm| {
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.decoding, algorithm)
        };
        let algorithm = jsonwebtoken::Algorithm::RS256;
        assert!(verify(message, algorithm).unwrap());
        assert!(!verify(&message.replace("Q", "R"), algorithm).unwrap());
        assert!(verify(message, jsonwebtoken::Algorithm::HS256).is_err());
    }
}
