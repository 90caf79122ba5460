//! Where a shop lives and on which ports: folders, ports, and the state file by which the other
//! commands find a running shop.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

mod ports;
pub use ports::{PORTS, PortBlock, PortSetting, Ports, SERVICES};

/// The host of every address: each way of running a shop listens on the loopback interface alone.
pub const HOST: &str = "127.0.0.1";

/// The service of an instance, or the name of any other part: `orders` of `orders-1`.
#[must_use]
pub fn service_of(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((service, number)) if number.bytes().all(|digit| digit.is_ascii_digit()) => service,
        _ => name,
    }
}

/// The name of the part that `name` means: the first instance of a service is called `orders` and `orders-0`.
#[must_use]
pub fn part_called(name: &str) -> &str {
    name.strip_suffix("-0").unwrap_or(name)
}

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

    /// The control socket. A Unix socket path has at most 107 bytes, so a shop in a deep folder has its
    /// socket in the system's folder for temporary files, under a name made from the folder's.
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

/// What a healthy shop says about itself in `shop.json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct State {
    /// The folder of the shop.
    pub dir: PathBuf,
    /// The supervisor's process; 0 when there is none on this machine, as with containers.
    pub pid: u32,
    /// Ports by part: `orders`, `kafka`, ...
    pub ports: BTreeMap<String, u16>,
    /// Where each part is reached: base URLs for HTTP, `host:port` for Kafka and SMTP, connection strings
    /// (`postgres.payments`) for databases, and one entry (`orders-1`) per further instance.
    pub urls: BTreeMap<String, String>,
    /// The Compose project, when the parts are containers.
    #[serde(default)]
    pub project: Option<String>,
}

/// Where each part is reached, by its port: the addresses of a [`State`].
#[must_use]
pub fn urls_at(ports: &BTreeMap<String, u16>) -> BTreeMap<String, String> {
    let mut urls = BTreeMap::new();
    for (name, port) in ports {
        match name.as_str() {
            "kafka" | "smtp" => {
                urls.insert(name.clone(), format!("{HOST}:{port}"));
            }
            "registry" => {
                urls.insert(name.clone(), format!("http://{HOST}:{port}/apis/ccompat/v7"));
            }
            "postgres" => {
                for database in ["catalog", "payments", "view"] {
                    let url = format!("postgres://shop@{HOST}:{port}/{database}");
                    urls.insert(format!("postgres.{database}"), url);
                }
            }
            // Kafka's own.
            "controller" => {}
            _ => {
                urls.insert(name.clone(), format!("http://{HOST}:{port}"));
            }
        }
    }
    urls
}

impl State {
    /// Reads the state file of the shop in `dirs`.
    ///
    /// # Errors
    /// When no shop is up there; the message says how to start or find one.
    pub fn read(dirs: &Dirs) -> Result<Self> {
        let path = dirs.state();
        let Ok(text) = std::fs::read_to_string(&path) else {
            bail!(
                "no running shop in {}, nor in containers: start one with `./shop up` or \
                 `docker compose up`, or say where it is with --dir DIR",
                dirs.root().display()
            );
        };
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    /// Writes the state file as a whole: readers see the old one or the new one.
    ///
    /// # Errors
    /// When the folder is not writable.
    pub fn write(&self, dirs: &Dirs) -> Result<()> {
        let temporary = dirs.root().join("shop.json.new");
        std::fs::write(&temporary, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&temporary, dirs.state())?;
        Ok(())
    }

    /// Where `part` is reached.
    ///
    /// # Errors
    /// When the shop has no such part.
    pub fn url(&self, part: &str) -> Result<&str> {
        self.urls.get(part).map(String::as_str).with_context(|| {
            let known: Vec<_> = self.urls.keys().map(String::as_str).collect();
            format!("the shop has no `{part}`; it has {}", known.join(", "))
        })
    }
}

/// One `SERVICE.KEY=VALUE` of `--env`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EnvSetting {
    /// The service that gets it, in all its instances.
    pub service: String,
    /// The variable's name.
    pub key: String,
    /// The variable's value.
    pub value: String,
}

impl std::str::FromStr for EnvSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not SERVICE.KEY=VALUE, such as orders.RUST_LOG=debug");
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        let (service, key) = name.split_once('.').ok_or_else(wrong)?;
        if key.is_empty() {
            return Err(wrong());
        }
        if service != "bank" && !SERVICES.contains(&service) {
            return Err(format!(
                "`{service}` is no service; there are {}, bank",
                SERVICES.join(", ")
            ));
        }
        Ok(Self { service: service.into(), key: key.into(), value: value.into() })
    }
}

/// One `SERVICE=N` of `--scale`: how many instances of a service run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scale {
    /// The service.
    pub service: String,
    /// How many instances, 1 to 9.
    pub instances: u16,
}

impl std::str::FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not SERVICE=N with N from 1 to 9, such as orders=2");
        let (service, count) = text.split_once('=').ok_or_else(wrong)?;
        let instances = count.parse().map_err(|_| wrong())?;
        if !(1..=9).contains(&instances) {
            return Err(wrong());
        }
        if !SERVICES.contains(&service) {
            return Err(format!("`{service}` is no service; there are {}", SERVICES.join(", ")));
        }
        Ok(Self { service: service.into(), instances })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_settings_name_the_service_the_key_and_the_value() {
        let setting: EnvSetting = "orders.RUST_LOG=streams=debug,info".parse().unwrap();
        assert_eq!((setting.service.as_str(), setting.key.as_str()), ("orders", "RUST_LOG"));
        assert_eq!(setting.value, "streams=debug,info");
        for wrong in ["RUST_LOG=x", "orders.=x", "orders.KEY", "nobody.KEY=x"] {
            assert!(wrong.parse::<EnvSetting>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn scale_is_bounded_and_knows_the_services() {
        assert_eq!("orders=2".parse::<Scale>().unwrap().instances, 2);
        for wrong in ["orders", "orders=0", "orders=10", "orders=x", "kafka=2"] {
            assert!(wrong.parse::<Scale>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_deep_folder_has_its_socket_elsewhere() {
        let shallow = Dirs::at(Path::new("/nowhere/shop"));
        assert_eq!(shallow.control_socket(), Path::new("/nowhere/shop/control.sock"));
        let deep = Dirs::at(&Path::new("/nowhere").join("d".repeat(120)));
        assert!(deep.control_socket().as_os_str().len() <= 107);
    }
}
