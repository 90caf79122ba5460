//! [`Secrets`]: the passwords and keys of a secured shop, in files that its user alone may read.
//!
//! They are made on the first start and kept: a login that was copied to another machine stays
//! good. Each start sets the passwords of Kafka and PostgreSQL to those of the files, so a file
//! that is deleted or overwritten is a new password after the next start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use client::Dirs;
use contracts::acls::principals;
use streams::Cluster;
use streams::cluster::{Protocol, Settings};
use uuid::Uuid;

use crate::tls;
use client::private_file::write;

/// The super user of Kafka.
pub(crate) const ADMIN: &str = "admin";
/// The super user of PostgreSQL.
pub(crate) const DATABASE_ADMIN: &str = "shop";
/// The user of Connect's HTTP interface, and what its password file is named after.
pub(crate) const REST_USER: &str = "operator";
pub(crate) const REST: &str = "connect";
/// The roles of `secured-roles.sql` with a login, and the super user.
pub(crate) const ROLES: [&str; 6] =
    [DATABASE_ADMIN, "payments", "view", "catalog-connector", "outbox-connector", "operator"];

/// The passwords and keys of a shop, by their files.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    dir: PathBuf,
}

impl Secrets {
    /// Makes what is missing.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub(crate) fn prepare(dirs: &Dirs) -> Result<Self> {
        Self::prepare_for(dirs, &ROLES)
    }

    /// The same for these roles of PostgreSQL.
    pub(crate) fn prepare_for(dirs: &Dirs, roles: &[&str]) -> Result<Self> {
        let secrets = Self { dir: dirs.secrets() };
        let dir = &secrets.dir;
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        for user in principals().iter().map(|user| user.name).chain([ADMIN]) {
            secrets.password_in(user)?;
        }
        for role in roles {
            let password = secrets.role_password(role)?;
            // As libpq reads it.
            write(&secrets.passfile(role), format!("*:*:*:{role}:{password}\n").as_bytes())?;
        }
        let password = secrets.password_in("rest.connect")?;
        let users = format!("{REST_USER}={password}\n");
        write(&dir.join("connect.users"), users.as_bytes())?;
        let passfile = format!("*:*:*:{REST_USER}:{password}\n");
        write(&secrets.passfile(REST), passfile.as_bytes())?;
        tls::ensure(dir)?;
        Ok(secrets)
    }

    /// The folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The password of a user of Kafka.
    pub(crate) fn password(&self, user: &str) -> Result<String> {
        self.password_in(user)
    }

    /// The password of a role of PostgreSQL.
    pub(crate) fn role_password(&self, role: &str) -> Result<String> {
        self.password_in(&role_name(role))
    }

    /// The file with it.
    pub(crate) fn role_file(&self, role: &str) -> PathBuf {
        self.dir.join(role_name(role))
    }

    /// The file with the password of a role, in the form of libpq.
    pub(crate) fn passfile(&self, role: &str) -> PathBuf {
        self.dir.join(format!("pgpass.{role}"))
    }

    /// Where Kafka is for `user`, with its login.
    pub(crate) fn kafka(&self, bootstrap: &str, user: &str) -> Cluster {
        let settings = Settings {
            protocol: Protocol::SaslSsl,
            username: Some(user.to_owned()),
            password_file: Some(self.dir.join(user)),
            mechanism: (user == ADMIN).then(|| "PLAIN".to_owned()),
            ca_file: Some(self.dir.join(tls::CA)),
        };
        Cluster::new(bootstrap, settings).expect("nothing is missing, and all goes together")
    }

    /// The password in `file`, which is made if there is none.
    fn password_in(&self, file: &str) -> Result<String> {
        let path = self.dir.join(file);
        let known = fs::read_to_string(&path).unwrap_or_default();
        let known = known.trim_end_matches(['\r', '\n']);
        if !known.is_empty() {
            return Ok(known.to_owned());
        }
        // Random by the operating system, 244 bits.
        let password = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        // Without a line end: Kafka takes the file as it is.
        write(&path, password.as_bytes())?;
        Ok(password)
    }
}

fn role_name(role: &str) -> String {
    format!("postgres.{role}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_kept_are_their_owners_alone_and_differ() {
        let folder = std::env::temp_dir().join(format!("shop-secrets-{}", std::process::id()));
        let dirs = Dirs::create(&folder).unwrap();
        let secrets = Secrets::prepare(&dirs).unwrap();
        let orders = secrets.password("orders").unwrap();
        assert_ne!(orders, secrets.password("payments").unwrap());
        let again = Secrets::prepare(&dirs).unwrap();
        assert_eq!(again.password("orders").unwrap(), orders);
        for entry in fs::read_dir(dirs.secrets()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", entry.path().display());
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
