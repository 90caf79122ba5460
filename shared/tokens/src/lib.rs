//! JSON Web Tokens of the callers of our HTTP interfaces (RFC 7519, RFC 8725): who a caller is,
//! and whether that is to be believed. No IO: where keys come from is `service-kit`'s affair.
//!
//! - [`KeySet`]: the public keys of an issuer, from a JWK Set (RFC 7517).
//! - [`Verifier`]: judges a token by a key set, and says who the caller is: an [`Identity`].
//! - [`Issuer`]: issues tokens for development and for tests.
//!
//! ```
//! use std::time::Duration;
//! use tokens::{Grant, Issuer, KeySet, Role, Verifier};
//!
//! let issuer = Issuer::generate();
//! let keys = KeySet::parse(issuer.jwks().to_string().as_bytes()).unwrap();
//! let grant = Grant::new("http://issuer", "shop", "ada", Role::Customer);
//! let token = issuer.token(&grant, Duration::from_secs(60));
//! let caller = Verifier::new("http://issuer", "shop").verify(&keys, &token).unwrap();
//! assert_eq!(caller.identity.to_string(), "customer:ada");
//! ```

mod identity;
mod issuer;
mod keys;
mod ring_provider;
mod verifier;

pub use identity::{Identity, InvalidIdentity, Role, SUBJECT_BYTES_MAX};
pub use issuer::{Grant, InvalidKey, Issuer};
pub use keys::{InvalidKeySet, KEYS_MAX, KeySet};
pub use verifier::{Refusal, TOKEN_BYTES_MAX, Verified, Verifier, key_id};
