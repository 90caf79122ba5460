//! [`Dirs`]: the folders and files of one shop.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The folders of one shop.
#[derive(Clone, Debug)]
pub struct Dirs {
    root: PathBuf,
}

impl Dirs {
    /// The shop in `root`, which is made if it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn create(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
        let root = root.canonicalize()?;
        let dirs = Self { root };
        for dir in [dirs.data(), dirs.logs(), dirs.config(), dirs.run()] {
            std::fs::create_dir_all(&dir)
                .with_context(|| format!("cannot make {}", dir.display()))?;
        }
        Ok(dirs)
    }

    /// The shop in `root`, which need not exist.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.canonicalize().unwrap_or_else(|_| root.to_owned()) }
    }

    /// The folder that holds all the others.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Everything that a shop remembers: `--fresh` wipes it.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Where PostgreSQL keeps its part of [`Dirs::data`] when its user may not enter the shop's
    /// folder.
    #[must_use]
    pub fn postgres_elsewhere(&self) -> PathBuf {
        let name = format!("murmuration-{:016x}", fingerprint(&self.root.to_string_lossy()));
        Path::new("/var/tmp").join(name)
    }

    /// Forgets everything that the shop remembers.
    ///
    /// # Errors
    /// When a folder cannot be removed.
    pub fn wipe(&self) -> Result<()> {
        for dir in [self.data(), self.postgres_elsewhere()] {
            if dir.exists() {
                std::fs::remove_dir_all(&dir)
                    .with_context(|| format!("cannot wipe {}", dir.display()))?;
            }
        }
        Ok(())
    }

    /// One log file per process.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The log of process `name`.
    #[must_use]
    pub fn log_of(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// The rendered configuration files.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join("config")
    }

    /// Keys and passwords, for their owner alone. They stay when the data is wiped.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// Pid files.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The file whose lock says that a supervisor is alive.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Takes the lock that a living shop holds on its folder, until the file is closed.
    ///
    /// # Errors
    /// When a shop runs there.
    pub fn take_lock(&self) -> Result<File> {
        let lock = File::create(self.lock())?;
        if lock.try_lock().is_err() {
            bail!(
                "a shop runs in {} already: `./shop status` shows it, `./shop down` ends it, \
                 --dir DIR --ports auto starts another",
                self.root().display()
            );
        }
        Ok(lock)
    }

    /// The state file.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("shop.json")
    }

    /// The control socket. A Unix socket path has at most 107 bytes, so a shop in a deep folder has
    /// its socket in the system's folder for temporary files, under a name made from the folder's.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        let path = self.root.join("control.sock");
        if path.as_os_str().len() <= 107 {
            return path;
        }
        let name = format!("murmuration-{:016x}.sock", fingerprint(&self.root.to_string_lossy()));
        std::env::temp_dir().join(name)
    }
}

/// A stable short hash (FNV-1a), for names made from paths.
#[must_use]
pub fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_folder_has_its_socket_elsewhere() {
        let shallow = Dirs::at(Path::new("/nowhere/shop"));
        assert_eq!(shallow.control_socket(), Path::new("/nowhere/shop/control.sock"));
        let deep = Dirs::at(&Path::new("/nowhere").join("d".repeat(120)));
        assert!(deep.control_socket().as_os_str().len() <= 107);
    }
}
