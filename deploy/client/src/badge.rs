//! [`Badge`]: what a client shows to the services of a shop whose callers need a token; and the
//! issuer of development, which a shop on this machine has.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokens::{Grant, Identity, Issuer, Role};

use crate::dirs::Dirs;
use crate::private_file;
use crate::state::State;

/// The name of the issuer of development, in its tokens (`iss`).
pub const ISSUER: &str = "murmuration-development";
/// For whom its tokens are (`aud`).
pub const AUDIENCE: &str = "murmuration";

/// The variable with a token to show instead of one that is issued here.
const TOKEN: &str = "SHOP_TOKEN";

/// How long a token holds that is issued for one request.
const REQUEST: Duration = Duration::from_secs(300);

/// Keys that tokens are believed by: the one that signs, and the one before.
const KEYS_MAX: usize = 2;

/// The issuer of development of the shop in a folder: a key pair, and the JWK Set beside it. A
/// person who may read the folder of the secrets is staff.
#[derive(Clone, Debug)]
pub struct Development {
    folder: PathBuf,
}

impl Development {
    /// That of the shop in `dirs`, which need not be there.
    #[must_use]
    pub fn of(dirs: &Dirs) -> Self {
        Self { folder: dirs.secrets() }
    }

    /// The one whose files are in `folder`, as a container is given them.
    #[must_use]
    pub fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The public keys, for `JWKS_FILE`.
    #[must_use]
    pub fn jwks(&self) -> PathBuf {
        self.folder.join("jwks.json")
    }

    fn key(&self) -> PathBuf {
        self.folder.join("issuer.pkcs8")
    }

    /// The issuer, if the shop has one.
    ///
    /// # Errors
    /// When its key cannot be read, or is none.
    pub fn issuer(&self) -> Result<Option<Issuer>> {
        let path = self.key();
        if !path.exists() {
            return Ok(None);
        }
        let key = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let issuer = Issuer::from_pkcs8(&key);
        let issuer = issuer.with_context(|| {
            format!("{} is damaged: remove it, and start the shop again", path.display())
        })?;
        Ok(Some(issuer))
    }

    /// The issuer, which is made if it is missing, with its JWK Set.
    ///
    /// # Errors
    /// When the folder is not writable, or the key is damaged.
    pub fn ensure(&self) -> Result<Issuer> {
        match self.issuer()? {
            Some(issuer) => {
                if !self.jwks().exists() {
                    self.publish(&[issuer.jwk()])?;
                }
                Ok(issuer)
            }
            None => self.rotate(),
        }
    }

    /// Signs with a new key from now on. Tokens of the one before are believed until the next time.
    ///
    /// # Errors
    /// When the folder is not writable.
    pub fn rotate(&self) -> Result<Issuer> {
        fs::create_dir_all(&self.folder)?;
        fs::set_permissions(&self.folder, Permissions::from_mode(0o700))?;
        let issuer = Issuer::generate();
        let mut keys = vec![issuer.jwk()];
        keys.extend(self.published());
        keys.truncate(KEYS_MAX);
        // First the public key: so no token is signed that the services could not know.
        self.publish(&keys)?;
        private_file::write(&self.key(), issuer.pkcs8())?;
        Ok(issuer)
    }

    fn published(&self) -> Vec<Value> {
        let text = fs::read(self.jwks()).unwrap_or_default();
        let set: Value = serde_json::from_slice(&text).unwrap_or_default();
        set["keys"].as_array().cloned().unwrap_or_default()
    }

    fn publish(&self, keys: &[Value]) -> Result<()> {
        private_file::write(&self.jwks(), json!({ "keys": keys }).to_string().as_bytes())
    }
}

/// Shows who calls, to services that ask for it; others do not look at it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Badge(Kind);

#[derive(Clone, Debug, Default)]
enum Kind {
    /// The shop has no issuer that this machine knows.
    #[default]
    None,
    /// As `SHOP_TOKEN` says.
    Given(String),
    /// Of the issuer of development.
    Issued(Arc<Issuer>, Identity),
}

impl Badge {
    /// Of staff: may do all.
    ///
    /// # Errors
    /// When the key of the issuer cannot be read.
    pub fn staff(state: &State) -> Result<Self> {
        Self::staff_by(&Development::of(&Dirs::at(&state.dir)))
    }

    /// Of staff, by this issuer.
    ///
    /// # Errors
    /// When the key of the issuer cannot be read.
    pub fn staff_by(development: &Development) -> Result<Self> {
        Self::new(development, Identity::new(Role::Staff, "shop")?)
    }

    /// Of a customer.
    ///
    /// # Errors
    /// When the key of the issuer cannot be read, or there can be no such customer.
    pub fn customer(state: &State, id: &str) -> Result<Self> {
        let development = Development::of(&Dirs::at(&state.dir));
        Self::new(&development, Identity::new(Role::Customer, id)?)
    }

    /// What `SHOP_TOKEN` says, for a shop of which only the addresses are known.
    #[must_use]
    pub fn given() -> Self {
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        Self(token.map(Kind::Given).unwrap_or_default())
    }

    fn new(development: &Development, identity: Identity) -> Result<Self> {
        let given = Self::given();
        if !matches!(given.0, Kind::None) {
            return Ok(given);
        }
        let issued = development.issuer()?.map(|issuer| Kind::Issued(Arc::new(issuer), identity));
        Ok(Self(issued.unwrap_or_default()))
    }

    /// The request with the badge on it.
    pub fn on(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.0 {
            Kind::None => request,
            Kind::Given(token) => request.bearer_auth(token),
            Kind::Issued(issuer, identity) => request.bearer_auth(issue(issuer, identity, REQUEST)),
        }
    }
}

/// A token of the issuer of development, which holds from now for `lifetime`.
#[must_use]
pub fn issue(issuer: &Issuer, identity: &Identity, lifetime: Duration) -> String {
    let grant = Grant::new(ISSUER, AUDIENCE, identity.subject(), identity.role());
    issuer.token(&grant, lifetime)
}

#[cfg(test)]
mod tests {
    use tokens::{KeySet, Verifier};

    use super::*;

    #[test]
    fn a_rotated_key_is_believed_until_the_next_time() {
        let folder = std::env::temp_dir().join(format!("shop-badge-{}", std::process::id()));
        let dirs = Dirs::create(&folder).unwrap();
        let development = Development::of(&dirs);
        assert!(development.issuer().unwrap().is_none());
        let ada = Identity::new(Role::Customer, "ada").unwrap();
        let token = |issuer: Issuer| issue(&issuer, &ada, REQUEST);
        let first = token(development.ensure().unwrap());
        assert_eq!(development.ensure().unwrap().key_id(), {
            let issuer = development.issuer().unwrap().unwrap();
            issuer.key_id().to_owned()
        });
        let second = token(development.rotate().unwrap());
        let is_believed = |token: &str| {
            let keys = KeySet::parse(&fs::read(development.jwks()).unwrap()).unwrap();
            Verifier::new(ISSUER, AUDIENCE).verify(&keys, token).is_ok()
        };
        assert!(is_believed(&first) && is_believed(&second));
        let third = token(development.rotate().unwrap());
        assert!(!is_believed(&first) && is_believed(&second) && is_believed(&third));
        let mode = fs::metadata(development.key()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it is for its owner alone");
        fs::remove_dir_all(&folder).unwrap();
    }
}
