//! Settings: flags or environment variables, checked at start, each error naming its way out.

use std::{
    fmt::Display,
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    process::exit,
    str::FromStr,
};

use clap::{ArgMatches, Args, Parser, ValueEnum, error::ErrorKind};
use streams::partition;

use crate::{callers::CallerSettings, probe};

mod kafka;
mod told;

pub use crate::addresses::{LOOPBACK, http_url, origin, origins};
pub use kafka::KafkaConfig;
pub(crate) use told::settings;
pub use told::without_secrets;

/// `EX_USAGE` of sysexits.h: the process was started with settings that it cannot use.
pub const EXIT_USAGE: i32 = 64;

/// The settings that every service of the shop has; flatten it into the service's own `Config`.
#[derive(Clone, Debug, Args)]
pub struct CommonConfig {
    /// Address to serve HTTP on; by default 127.0.0.1 and the service's own port.
    #[arg(long, env = "HTTP_ADDR", value_parser = socket_addr)]
    pub http_addr: Option<SocketAddr>,

    /// Where Kafka is, and who we are there.
    #[command(flatten)]
    pub kafka: KafkaConfig,

    /// Base URL of a Confluent compatible schema registry.
    #[arg(
        long,
        env = "SCHEMA_REGISTRY_URL",
        default_value = "http://127.0.0.1:8085/apis/ccompat/v7",
        value_parser = http_url
    )]
    pub schema_registry_url: String,

    /// Ordinal of this instance: it forms `transactional.id` and `group.instance.id`, so no two
    /// running instances of a service may share it.
    #[arg(long, env = "INSTANCE", default_value_t = 0)]
    pub instance: u32,

    /// How many partitions the topics of the shop have: the same for all services, and for ever.
    #[arg(
        long,
        env = partition::SETTING,
        default_value_t = partition::DEFAULT,
        value_parser = partition::parse_count
    )]
    pub partitions: i32,

    /// Folder for local state. It is a cache: what is in it can be rebuilt from Kafka.
    #[arg(long, env = "STATE_DIR", default_value = ".shop/state")]
    pub state_dir: PathBuf,

    /// How log lines are written.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,

    /// Who may call.
    #[command(flatten)]
    pub callers: CallerSettings,
}

impl CommonConfig {
    /// Where Kafka is, with our login, as every client takes it.
    ///
    /// # Errors
    /// When its settings do not go together.
    pub fn kafka(&self) -> anyhow::Result<String> {
        self.kafka.address().map_err(anyhow::Error::msg)
    }

    /// The address to serve on: `HTTP_ADDR`, or the loopback address with the service's own port.
    pub fn http_addr(&self, default_port: u16) -> SocketAddr {
        self.http_addr.unwrap_or_else(|| loopback(default_port))
    }

    /// Where this instance keeps the state of the processor `name`. Instances that share a
    /// `STATE_DIR` do not share a folder: each may be used by one process at a time.
    pub fn state_folder(&self, name: &str) -> PathBuf {
        self.state_dir.join(format!("{name}-{}", self.instance))
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text if stdout is a terminal, else JSON.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object per line, for collectors.
    Json,
}

impl LogFormat {
    /// What [`LogFormat::Auto`] comes to.
    pub(crate) fn resolved(self, is_terminal: bool) -> Self {
        match self {
            Self::Auto if is_terminal => Self::Text,
            Self::Auto => Self::Json,
            chosen @ (Self::Text | Self::Json) => chosen,
        }
    }
}

/// Reads the settings from flags and environment.
///
/// Does not return if they are unusable: it prints which setting is wrong and why and exits with
/// [`EXIT_USAGE`]. `--help` and `--version` are printed and exit with 0. `--healthcheck` asks the
/// service that runs with the same settings and exits with 0 when it is ready, else with 1.
pub fn parse_config<C: Parser>() -> C {
    let matches =
        probe::flag(C::command()).try_get_matches().unwrap_or_else(|error| refuse(&error));
    told::keep(&C::command(), &matches);
    if let Err(why) = kafka::check(&matches).and_then(|()| CallerSettings::check(&matches)) {
        refuse(&C::command().error(ErrorKind::ValueValidation, why));
    }
    if let Some(ready) = probe::asked(&matches) {
        if let Err(why) = &ready {
            println!("{why}");
        }
        exit(i32::from(ready.is_err()));
    }
    set_partitions(&matches);
    C::from_arg_matches(&matches).unwrap_or_else(|error| refuse(&error))
}

/// Every topic of the process has as many from now on, for a program that has the setting.
fn set_partitions(matches: &ArgMatches) {
    if let Ok(Some(count)) = matches.try_get_one("partitions") {
        partition::set_count(*count);
    }
}

fn refuse(error: &clap::Error) -> ! {
    // With stdout or stderr closed, only the exit code tells.
    let _ = error.print();
    if error.use_stderr() {
        eprintln!("Each setting can be given as a flag or as an environment variable.");
        exit(EXIT_USAGE);
    }
    exit(0)
}

/// The loopback address with this port.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Value parser for an address to listen on.
///
/// # Errors
/// Says what an address looks like when the text is not one.
pub fn socket_addr(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:8080".to_owned())
}

/// Value parser for a number in `range`.
///
/// # Errors
/// Says what is expected, such as "a number of requests", when the text is none of these.
pub fn within<T>(text: &str, range: RangeInclusive<T>, what: &str, such_as: T) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    let number = text.parse().ok().filter(|number| range.contains(number));
    let (from, to) = range.into_inner();
    number.ok_or_else(|| format!("expected {what} from {from} to {to}, such as {such_as}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Config {
        #[command(flatten)]
        common: CommonConfig,
    }

    fn error(args: &[&str]) -> String {
        let args = std::iter::once("orders").chain(args.iter().copied());
        Config::try_parse_from(args).unwrap_err().to_string()
    }

    #[test]
    fn defaults_fit_a_shop_on_this_host() {
        let common = Config::parse_from(["orders"]).common;
        assert_eq!(common.http_addr(8080), "127.0.0.1:8080".parse().unwrap());
        assert_eq!(common.log_format, LogFormat::Auto);
        assert_eq!(common.partitions, 3);
    }

    #[test]
    fn instances_with_the_same_folder_for_state_do_not_share_it() {
        let folder = |instance| {
            let args = ["inventory", "--state-dir", "/state", "--instance", instance];
            Config::parse_from(args).common.state_folder("inventory-stock")
        };
        assert_eq!(folder("0"), PathBuf::from("/state/inventory-stock-0"));
        assert_eq!(folder("1"), PathBuf::from("/state/inventory-stock-1"));
    }

    #[test]
    fn an_unusable_value_is_named_with_the_way_out() {
        let error = error(&["--http-addr", "nowhere"]);
        assert!(error.contains("<HTTP_ADDR>") && error.contains("127.0.0.1:8080"), "{error}");
    }

    #[test]
    fn a_number_of_partitions_out_of_bounds_is_refused_with_its_setting() {
        for wrong in ["2", "49", "many"] {
            let error = error(&["--partitions", wrong]);
            let named = [format!("PARTITIONS is {wrong}"), "from 3 to 48".to_owned()];
            assert!(named.iter().all(|named| error.contains(named)), "{error}");
        }
    }
}
