//! The passwords and keys of a secured shop in containers: `docker-compose.secured.yml` gives each
//! container the files that it needs, and no other.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use client::{Development, Dirs, private_file::write};

use crate::processes::connect;
use crate::provision::access;
use crate::secrets::{ROLES, Secrets};
use crate::template::render;

/// The role of the schema registry, whose storage is a database in containers.
const REGISTRY: &str = "registry";

/// Makes what is missing in the folder `secrets` of the shop in `root`: what `shop up --secured`
/// makes, the issuer of development, and settings that name the files as containers see them, in
/// the folder `seen_at`.
///
/// A container's user is not this one, so everyone may read the files; the folder around them is
/// for its owner alone. Docker mounts files of it one by one.
///
/// # Errors
/// When a file cannot be read or written.
pub fn secrets_for_containers(root: &Path, seen_at: &str) -> Result<()> {
    let dirs = Dirs::at(root);
    let secrets = Secrets::prepare_for(&dirs, &[&ROLES[..], &[REGISTRY]].concat())?;
    Development::of(&dirs).ensure()?;
    let seen = |template: &str| {
        render(template, |name| (name == "dir.secrets").then(|| seen_at.to_owned()))
    };
    // What the registry reads counts more than its variables (300).
    let registry = format!(
        "config_ordinal=500\napicurio.datasource.password={}\n",
        secrets.role_password(REGISTRY)?
    );
    for (name, content) in [
        ("kafka.access", access::input(&secrets)?),
        ("kafka.admin.properties", seen(access::LOGIN)?),
        ("connect.login.conf", seen(connect::LOGIN)?),
        ("registry.properties", registry),
    ] {
        write(&secrets.dir().join(name), content.as_bytes())?;
    }
    for entry in fs::read_dir(secrets.dir())? {
        let path = entry?.path();
        let shown = || format!("cannot open {} to containers", path.display());
        fs::set_permissions(&path, Permissions::from_mode(0o444)).with_context(shown)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_read_files_in_a_folder_that_is_closed_to_others() {
        let root = std::env::temp_dir().join(format!("shop-containers-{}", std::process::id()));
        secrets_for_containers(&root, "/run/secrets").unwrap();
        let dir = Dirs::at(&root).secrets();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        let names = ["orders", "postgres.registry", "ca.pem", "issuer.pkcs8", "jwks.json"];
        for name in names.iter().chain(&["connect.login.conf", "registry.properties"]) {
            assert_eq!(mode(&dir.join(name)), 0o444, "{name}");
        }
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
        let (orders, access) = (read("orders"), read("kafka.access"));
        assert!(access.contains(&format!("user orders {orders}\n")), "a user with a password");
        assert!(access.contains("--allow-principal User:orders"), "and rules");
        assert!(read("kafka.admin.properties").contains("${dir:/run/secrets:admin}"));
        // Once more, after all is there: the same passwords.
        secrets_for_containers(&root, "/run/secrets").unwrap();
        assert_eq!(orders, read("orders"));
        fs::remove_dir_all(&root).unwrap();
    }
}
