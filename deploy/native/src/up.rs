//! Starts everything, watches over it, and stops it in order.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use client::{Badge, Development, Dirs, HEALTHY_WITHIN, Progress, SERVICES, State, control};
use contracts::ServiceName;
use streams::partition;

use crate::down::down;
use crate::ending;
use crate::install;
use crate::ports::{PortSetting, Ports};
use crate::processes::postgres_home::Home;
use crate::processes::site::{PROVISION, Site};
use crate::processes::{bank, connect, kafka, mail, postgres, registry};
use crate::provision::{
    access, catalog, connectors, databases,
    schemas::{self, Places},
    stock, topics,
};
use crate::running::Running;
use crate::secrets::Secrets;
use crate::settings::{EnvSetting, Scale, With};
use crate::supervisor::{Process, ProcessSpec, leftovers};

/// How to start a shop.
#[derive(Clone, Debug, Default)]
pub struct UpOptions {
    /// The folder of the shop.
    pub dir: PathBuf,
    /// Forgets everything that the shop remembers, and ends one that runs there.
    pub fresh: bool,
    /// Free ports for all processes, instead of the documented ones.
    pub ports_auto: bool,
    /// Ports that are moved.
    pub port: Vec<PortSetting>,
    /// How many instances of a service, where not one.
    pub scale: Vec<Scale>,
    /// Services besides those that every shop has.
    pub with: Vec<With>,
    /// Variables of services.
    pub env: Vec<EnvSetting>,
    /// With logins, access control and TLS, instead of open to all on this machine.
    pub secured: bool,
    /// How many partitions the topics have; what the data has if left out.
    pub partitions: Option<i32>,
    /// The servers alone, without bank and services.
    pub infra_only: bool,
    /// Ends the shop when stdin is closed.
    pub until_stdin_closes: bool,
    /// Wipes the data at the end; the logs stay.
    pub forget: bool,
    /// Goes on when the terminal is gone.
    pub detached: bool,
    /// Callers of the services need a token, of the issuer of development.
    pub auth: bool,
    /// The page has its Workshop, which the program serves beside the shop.
    pub demo: bool,
}

/// What a program does beside the shop that it runs.
pub trait Beside: Send {
    /// Every process is ready; other commands do not see the shop yet.
    ///
    /// # Errors
    /// When the shop shall end because of it.
    fn begin(
        &mut self,
        dirs: &Dirs,
        state: &State,
        progress: Progress,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The shop can be used.
    fn ready(&mut self, state: &State);

    /// The shop is about to end: every process still runs. It ends when this does.
    fn end(&mut self) -> impl Future<Output = ()> + Send;
}

impl UpOptions {
    /// The services that are started.
    fn services(&self) -> Vec<ServiceName> {
        let asked_for = self.with.iter().map(|with| with.service);
        ServiceName::by_default().chain(asked_for).collect()
    }

    /// Whether `name` is a service that is not started, or the Workshop of a shop without one.
    fn is_off(&self, name: &str) -> bool {
        let is_service = SERVICES.contains(&name);
        (is_service && !self.services().iter().any(|on| on.as_str() == name))
            || (name == "workshop" && !self.demo)
    }

    /// Sees that no option is about a service that is not started.
    fn check(&self) -> Result<()> {
        let scales = self.scale.iter().map(|scale| ("--scale", &scale.service));
        let envs = self.env.iter().map(|env| ("--env", &env.service));
        match scales.chain(envs).find(|(_, service)| self.is_off(service)) {
            Some((option, off)) => bail!("{option} {off}: {off} is off; --with {off} starts it"),
            None => Ok(()),
        }
    }
}

/// Runs a shop until a signal or a request ends it, and `beside` while every process is ready.
///
/// # Errors
/// When a port is taken, a shop runs in the folder already, or a process does not become healthy:
/// with the end of its log.
pub async fn up(args: UpOptions, mut beside: impl Beside) -> Result<()> {
    let progress = Progress::start();
    args.check()?;
    let dirs = Dirs::create(&args.dir)?;
    if args.fresh && dirs.control_socket().exists() {
        // A fresh start replaces a running shop; for any other start that is an error.
        println!("{}", down(&args.dir).await?);
    }
    let lock = dirs.take_lock()?;
    clean(&dirs, args.fresh, &progress)?;
    take_profile(&dirs, args.secured)?;
    partition::set_count(take_partitions(&dirs, args.partitions)?);
    let ports = Ports::choose(args.ports_auto, &args.port)?;
    ports.check_free(|name| args.is_off(name))?;

    let mut end = ending::told_to_end(args.until_stdin_closes, args.detached)?;
    let started = async {
        let site = Site {
            artifacts: install::artifacts(&progress).await?,
            postgres: Home::find(&dirs, &progress)?,
            ports: ports.all().clone(),
            env: args.env.clone(),
            extra_checks: args.with.iter().map(|with| with.check).collect(),
            secrets: if args.secured { Some(Secrets::prepare(&dirs)?) } else { None },
            demo: args.demo,
            bin: bin_dir()?,
            jwks: jwks(args.auth, &dirs)?,
            dirs: dirs.clone(),
        };
        anyhow::Ok(Arc::new(Running::new(site, ports)))
    };
    let running = tokio::select! {
        running = started => running?,
        why = &mut end => { progress.step("shop", format!("{why}: not started")); return Ok(()) }
    };
    control::serve(&dirs.control_socket(), Arc::clone(&running))?;

    let outcome = tokio::select! {
        result = live(&args, &running, progress, &mut beside) => result,
        why = &mut end => { progress.step("shop", why); Ok(()) }
        () = running.stop.cancelled() => { progress.step("shop", "asked to stop"); Ok(()) }
    };
    running.stop.cancel();
    // A failed state file removal only leaves a stale one, which the lock tells from a living shop.
    let _ = std::fs::remove_file(dirs.state());
    tokio::select! {
        () = beside.end() => {}
        _ = tokio::signal::ctrl_c() => progress.step("shop", "interrupted again: not waiting"),
    }
    progress.step("shop", "stopping");
    tokio::select! {
        () = running.supervisor.stop_all() => progress.step("shop", "stopped"),
        _ = tokio::signal::ctrl_c() => progress.step("shop", "killed; what is left ends next time"),
    }
    let _ = std::fs::remove_file(dirs.control_socket());
    if args.forget {
        dirs.wipe()?;
    }
    drop(lock);
    outcome
}

/// Starts everything and then waits for ever; the caller ends it.
async fn live(
    args: &UpOptions,
    running: &Arc<Running>,
    progress: Progress,
    beside: &mut impl Beside,
) -> Result<()> {
    start(args, running, progress).await?;
    let state = running.state().clone();
    beside.begin(&running.site.dirs, &state, progress).await?;
    running.write_state()?;
    progress.step("shop", "ready");
    beside.ready(&state);
    std::future::pending().await
}

/// Starts the processes, each as soon as what it needs is there.
async fn start(args: &UpOptions, running: &Arc<Running>, progress: Progress) -> Result<()> {
    let site = &running.site;
    let places = Places {
        registry: site.registry_url(),
        kafka: site.kafka(PROVISION),
        connect: Some(site.connect_url()?),
    };
    launch(running, mail::spec(site)?);
    let kafka = async {
        progress.step("kafka", "starting");
        let process = launch(running, kafka::prepare(site).await?);
        healthy(running, &process, progress).await?;
        if let Some(secrets) = &site.secrets {
            let done = access::ensure(site, secrets).await?;
            progress.step("kafka", format!("has its access control: {done}"));
        }
        let made = topics::ensure(&site.kafka(PROVISION)).await?;
        progress.step("kafka", format!("topics are there, {made} of them new"));
        // Connect needs nothing else to start, and takes longest.
        progress.step("connect", "starting");
        anyhow::Ok(launch(running, connect::spec(site)?))
    };
    let registry = async {
        progress.step("registry", "starting");
        let process = launch(running, registry::spec(site)?);
        healthy(running, &process, progress).await
    };
    let kafka_and_registry = async {
        let (connect, ()) = tokio::try_join!(kafka, registry)?;
        let given_back = schemas::ensure(&places).await?;
        progress.step("registry", schemas::told(given_back));
        anyhow::Ok((connect, given_back))
    };
    let postgres = async {
        progress.step("postgres", "starting");
        let process = launch(running, postgres::prepare(site).await?);
        healthy(running, &process, progress).await?;
        databases::ensure(site).await?;
        progress.step("postgres", "databases are there");
        anyhow::Ok(())
    };
    let ((connect, given_back), ()) = tokio::try_join!(kafka_and_registry, postgres)?;

    let connect = async {
        healthy(running, &connect, progress).await?;
        let api = connectors::Connect::new(site.connect_url()?, |name| site.lookup(name))?;
        api.wait_running(HEALTHY_WITHIN).await?;
        progress.step("connect", "connectors run");
        tokio::spawn(connectors::keep_running(api, progress, running.stop.clone()));
        let addresses = capture::Addresses::of(&running.state().clone().with_passwords()?)?;
        tokio::spawn(capture::watch(addresses, progress, running.stop.clone()));
        if given_back > 0 {
            schemas::forget(&places).await?;
        }
        anyhow::Ok(())
    };
    let services = async {
        if args.infra_only {
            return Ok(());
        }
        start_services(args, running, progress).await
    };
    tokio::try_join!(connect, services)?;
    tokio::spawn(schemas::keep(places.clone(), progress, running.stop.clone()));
    if !args.infra_only {
        stock_and_catalog(running, progress).await?;
        // So the connectors have registered the schemas of their tables.
        if let Err(error) = schemas::keep_new(&places).await {
            progress.step("registry", format!("{error:#}"));
        }
    }
    Ok(())
}

/// What the first customer meets: pieces in stock, and a catalog that orders knows.
async fn stock_and_catalog(running: &Running, progress: Progress) -> Result<()> {
    let badge = Badge::staff(&running.state())?;
    stock::ensure(&running.site.http("inventory"), &badge, HEALTHY_WITHIN).await?;
    progress.step("inventory", "has its first stock");
    catalog::known(&running.instances_of("orders"), &badge, HEALTHY_WITHIN).await?;
    progress.step("orders", "knows the catalog");
    Ok(())
}

async fn start_services(
    args: &UpOptions,
    running: &Arc<Running>,
    progress: Progress,
) -> Result<()> {
    let services: Vec<_> = args.services().into_iter().map(ServiceName::as_str).collect();
    for name in services.iter().copied().chain(["bank-simulator"]) {
        let program = running.site.bin.join(name);
        ensure!(program.exists(), "{} is not built: `cargo build` makes it", program.display());
    }
    let mut processes = vec![launch(running, bank::spec(&running.site))];
    for service in services {
        let scale = args.scale.iter().find(|scale| scale.service == service);
        for instance in 0..scale.map_or(1, |scale| scale.instances) {
            processes.push(running.launch_service(service, instance)?);
        }
    }
    for process in &processes {
        running.supervisor.wait_healthy(process).await?;
        progress.step(&process.spec().name, format!("ready on port {}", process.spec().port));
    }
    Ok(())
}

fn launch(running: &Running, spec: ProcessSpec) -> Arc<Process> {
    running.supervisor.launch(spec)
}

async fn healthy(running: &Running, process: &Process, progress: Progress) -> Result<()> {
    running.supervisor.wait_healthy(process).await?;
    progress.step(&process.spec().name, format!("ready on port {}", process.spec().port));
    Ok(())
}

/// Ends what a killed shop left running, and wipes the data when a fresh start is asked for.
fn clean(dirs: &Dirs, fresh: bool, progress: &Progress) -> Result<()> {
    let _ = std::fs::remove_file(dirs.state());
    let left = leftovers::end_leftovers(dirs)?;
    if !left.is_empty() {
        progress.step("shop", format!("ended what a killed shop left: {}", left.join(", ")));
    }
    if fresh {
        dirs.wipe()?;
        std::fs::create_dir_all(dirs.data())?;
        progress.step("shop", "data wiped");
    }
    Ok(())
}

/// The public keys of the issuer of development, if callers need a token.
fn jwks(auth: bool, dirs: &Dirs) -> Result<Option<PathBuf>> {
    if !auth {
        return Ok(None);
    }
    let development = Development::of(dirs);
    development.ensure()?;
    Ok(Some(development.jwks()))
}

/// Sees that the data is that of such a shop. Owners, users and passwords differ, so neither goes
/// on with what the other has made.
fn take_profile(dirs: &Dirs, secured: bool) -> Result<()> {
    const NAMES: [&str; 2] = ["open", "secured"];
    let file = dirs.data().join("profile");
    let wanted = NAMES[usize::from(secured)];
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    // Data of a shop from before there were two.
    let is_old = known.is_empty() && dirs.data().join("kafka").exists();
    let known = if is_old { NAMES[0] } else { known.trim() };
    ensure!(
        known.is_empty() || known == wanted,
        "the data in {} is that of a shop that is {known}: start it that way, or --fresh to begin \
         again, or --dir DIR for another shop",
        dirs.data().display()
    );
    std::fs::write(&file, wanted).with_context(|| format!("cannot write {}", file.display()))
}

/// How many partitions the topics have: those of the data, which cannot have others.
fn take_partitions(dirs: &Dirs, wanted: Option<i32>) -> Result<i32> {
    let file = dirs.data().join("partitions");
    let known = match std::fs::read_to_string(&file) {
        Ok(text) => Some(partition::parse_count(text.trim()).map_err(anyhow::Error::msg)?),
        // Data of a shop from before there was a choice.
        Err(_) if dirs.data().join("kafka").exists() => Some(partition::DEFAULT),
        Err(_) => None,
    };
    let count = wanted.or(known).unwrap_or(partition::DEFAULT);
    if let Some(known) = known.filter(|known| *known != count) {
        bail!(
            "{} is {count}, but the topics in {} have {known} partitions. With another number most \
             keys would be elsewhere, so it cannot change: start with --partitions {known}, or \
             --fresh to begin again, or --dir DIR for another shop",
            partition::SETTING,
            dirs.data().display()
        );
    }
    std::fs::write(&file, count.to_string())
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(count)
}

/// Cargo puts all executables of the workspace into one folder: the one of this program.
fn bin_dir() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().context("an executable is in a folder")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_an_open_shop_is_not_taken_for_a_secured_one() {
        let folder = std::env::temp_dir().join(format!("shop-profile-{}", std::process::id()));
        let dirs = Dirs::create(&folder).unwrap();
        std::fs::create_dir(dirs.data().join("kafka")).unwrap();
        let refused = take_profile(&dirs, true).unwrap_err().to_string();
        assert!(refused.contains("open") && refused.contains("--fresh"), "{refused}");
        take_profile(&dirs, false).unwrap();
        dirs.wipe().unwrap();
        std::fs::create_dir_all(dirs.data()).unwrap();
        take_profile(&dirs, true).unwrap();
        assert!(take_profile(&dirs, false).unwrap_err().to_string().contains("secured"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_partitions_of_the_data_stay_and_another_number_names_the_ways_out() {
        let folder = std::env::temp_dir().join(format!("shop-partitions-{}", std::process::id()));
        let dirs = Dirs::create(&folder).unwrap();
        assert_eq!(take_partitions(&dirs, Some(6)).unwrap(), 6);
        assert_eq!(take_partitions(&dirs, None).unwrap(), 6);
        let refused = take_partitions(&dirs, Some(12)).unwrap_err().to_string();
        for named in ["PARTITIONS is 12", "have 6 partitions", "--partitions 6", "--fresh"] {
            assert!(refused.contains(named), "{named}: {refused}");
        }
        dirs.wipe().unwrap();
        std::fs::create_dir_all(dirs.data().join("kafka")).unwrap();
        assert!(take_partitions(&dirs, Some(6)).unwrap_err().to_string().contains("have 3"));
        assert_eq!(take_partitions(&dirs, None).unwrap(), 3);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn an_option_for_a_service_that_is_off_names_the_way_out() {
        let off = ServiceName::ALL.into_iter().find(|name| !name.spec().runs_by_default()).unwrap();
        let scale = format!("{off}=2").parse().unwrap();
        let options = UpOptions { scale: vec![scale], ..UpOptions::default() };
        let message = options.check().unwrap_err().to_string();
        assert!(message.contains(&format!("--with {off}")), "{message}");
        let with = vec![off.as_str().parse().unwrap()];
        assert!(UpOptions { with, ..options }.check().is_ok());
    }
}
