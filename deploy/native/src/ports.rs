//! The ports of a shop: the defaults, moved ones, and blocks of free ones for shops side by side.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use client::PORTS;

const BLOCK_FIRST: u16 = 20_000;
const BLOCK_SIZE: u16 = 40;
/// Blocks end below 32768, where Linux takes the ports of outgoing connections from.
const BLOCKS: u16 = 300;

/// One `NAME=N` of `--port`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PortSetting {
    /// Which port, a name in [`PORTS`].
    pub name: String,
    /// The port.
    pub port: u16,
}

impl std::str::FromStr for PortSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not NAME=PORT, such as orders=18080");
        let (name, port) = text.split_once('=').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        if !PORTS.iter().any(|(known, _)| *known == name) {
            let known: Vec<_> = PORTS.iter().map(|(known, _)| *known).collect();
            return Err(format!("`{name}` has no port; there are {}", known.join(", ")));
        }
        Ok(Self { name: name.into(), port })
    }
}

/// A block of ports that this process alone hands out, for as long as it lives.
#[derive(Debug)]
pub struct PortBlock {
    first: u16,
    /// Locked while we live; the kernel releases it with us, however we end.
    _lock: File,
}

impl PortBlock {
    /// Takes a block that no other shop of this machine holds and whose ports are free.
    ///
    /// # Errors
    /// When all blocks are taken, or the folder for temporary files is not writable.
    pub fn take() -> Result<Self> {
        let start = u16::try_from(std::process::id() % u32::from(BLOCKS)).unwrap_or(0);
        for step in 0..BLOCKS {
            let first = BLOCK_FIRST + ((start + step) % BLOCKS) * BLOCK_SIZE;
            if let Some(block) = Self::lock(first)?
                && (first..first + BLOCK_SIZE).all(is_free)
            {
                return Ok(block);
            }
        }
        bail!("all {BLOCKS} blocks of ports for --ports auto are taken; `./shop down` ends a shop")
    }

    /// Its first port, by which it is known.
    #[must_use]
    pub fn first(&self) -> u16 {
        self.first
    }

    /// Where the locks are: a folder for each user, as what one makes another may not open.
    #[must_use]
    pub fn locks() -> PathBuf {
        std::env::temp_dir().join(format!("murmuration-ports-{}", nix::unistd::geteuid()))
    }

    /// The block that begins with `first`, unless another shop holds it.
    ///
    /// # Errors
    /// When the folder for temporary files is not writable.
    pub fn lock(first: u16) -> Result<Option<Self>> {
        let dir = Self::locks();
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let file = dir.join(first.to_string());
        let lock =
            File::create(&file).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(lock.try_lock().is_ok().then_some(Self { first, _lock: lock }))
    }
}

/// The ports of one shop.
#[derive(Debug)]
pub struct Ports {
    by_name: BTreeMap<String, u16>,
    block: Option<PortBlock>,
    /// Where the search for ports of further instances goes on.
    next_extra: u16,
}

impl Ports {
    /// The defaults or a block of free ports, with `moved` ones on top.
    ///
    /// # Errors
    /// When no block is free.
    pub fn choose(auto: bool, moved: &[PortSetting]) -> Result<Self> {
        let block = if auto { Some(PortBlock::take()?) } else { None };
        let mut by_name = BTreeMap::new();
        let mut offset = 0;
        for (name, default) in PORTS {
            let port = block.as_ref().map_or(default, |block| block.first + offset);
            by_name.insert(name.to_owned(), port);
            offset += 1;
        }
        for setting in moved {
            by_name.insert(setting.name.clone(), setting.port);
        }
        let next_extra = block.as_ref().map_or(18_100, |block| block.first + offset);
        Ok(Self { by_name, block, next_extra })
    }

    /// The port of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> u16 {
        *self.by_name.get(name).expect("every name in the code is in PORTS")
    }

    /// All ports by name.
    #[must_use]
    pub fn all(&self) -> &BTreeMap<String, u16> {
        &self.by_name
    }

    /// The first port of the block, when the ports are one of `--ports auto`.
    #[must_use]
    pub fn block(&self) -> Option<u16> {
        self.block.as_ref().map(PortBlock::first)
    }

    /// A free port for a further instance of a service.
    ///
    /// # Errors
    /// When the range for them is used up.
    pub fn extra(&mut self) -> Result<u16> {
        let end = self.block.as_ref().map_or(19_000, |block| block.first + BLOCK_SIZE);
        while self.next_extra < end {
            let port = self.next_extra;
            self.next_extra += 1;
            if is_free(port) {
                return Ok(port);
            }
        }
        bail!("no free port for a further instance below {end}")
    }

    /// Sees that every port that this shop uses is free, before anything is started. `is_off` names
    /// the services that it does without: their ports may be taken.
    ///
    /// # Errors
    /// Names the taken port, the service or server that wants it, the process that holds it, and
    /// how to move it.
    pub fn check_free(&self, is_off: impl Fn(&str) -> bool) -> Result<()> {
        let taken: Vec<String> = self
            .by_name
            .iter()
            .filter(|(name, port)| !is_off(name) && !is_free(**port))
            .map(|(name, port)| {
                let holder = holder_of(*port).map_or(String::new(), |who| format!(" by {who}"));
                format!(
                    "port {port}, wanted by {name}, is taken{holder}: move it with --port {name}=N"
                )
            })
            .collect();
        if taken.is_empty() {
            return Ok(());
        }
        bail!("{}\n(--ports auto picks free ports for all processes)", taken.join("\n"))
    }
}

/// True when `port` can be listened on now. The services listen on one address, a stranger may
/// listen on all of them: both are tried.
fn is_free(port: u16) -> bool {
    let can_bind = |address: Ipv4Addr| TcpListener::bind((address, port)).is_ok();
    can_bind(Ipv4Addr::LOCALHOST) && can_bind(Ipv4Addr::UNSPECIFIED)
}

/// Which process listens on `port`, as far as /proc tells: `java (pid 4711)`.
fn holder_of(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inode = tables
        .iter()
        .find_map(|table| listening_inode(&std::fs::read_to_string(table).ok()?, port))?;
    let wanted = format!("socket:[{inode}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        // Others, such as `self`, are links to these.
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(fds) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let holds = |link: std::path::PathBuf| link.as_os_str() == wanted.as_str();
        if fds.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(holds)) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

/// The inode of the socket that listens on `port`, in the format of /proc/net/tcp.
fn listening_inode(table: &str, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let suffix = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == LISTEN;
        listens.then(|| fields.get(9).map(ToString::to_string)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_port_is_named_and_bounded() {
        let moved: PortSetting = "orders=18080".parse().unwrap();
        let ports = Ports::choose(false, &[moved]).unwrap();
        assert_eq!((ports.get("orders"), ports.get("kafka")), (18_080, 9092));
        for wrong in ["orders", "orders=0", "orders=70000", "nobody=1"] {
            assert!(wrong.parse::<PortSetting>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn two_blocks_do_not_overlap_and_end_below_the_outgoing_ports() {
        let (mut one, two) = (Ports::choose(true, &[]).unwrap(), Ports::choose(true, &[]).unwrap());
        let extra = one.extra().unwrap();
        assert!(!one.by_name.values().any(|port| *port == extra));
        assert!(one.by_name.values().all(|port| two.by_name.values().all(|other| port != other)));
        const { assert!(BLOCK_FIRST + BLOCKS * BLOCK_SIZE <= 32_768) };
    }

    #[test]
    fn a_taken_port_is_named_with_its_holder_and_the_way_out() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let moved = PortSetting { name: "view".into(), port };
        let ports = Ports::choose(true, &[moved]).unwrap();
        assert!(ports.check_free(|name| name == "view").is_ok(), "the view is off");
        let message = ports.check_free(|_| false).unwrap_err().to_string();
        let pid = format!("(pid {})", std::process::id());
        for part in [&port.to_string(), "wanted by view", "--port view=N", &pid] {
            assert!(message.contains(part), "{message}");
        }
    }
}
