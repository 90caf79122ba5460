//! `shop dlq`: the records that a service could not handle.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use client::Found;
use contracts::{
    ServiceName,
    services::Offsets,
    topics::{self, TopicSpec},
};
use streams::topic::Writers;
use streams_kafka::admin::check_count;
use streams_kafka::dlq::{Address, DeadLetter, Done, LetterId, committed, list, pass_by, settle};
use workshop::letters::{find, readable};

/// What to do, and where.
#[derive(Args, Debug)]
pub(crate) struct DlqArgs {
    #[command(subcommand)]
    action: Action,
    /// Where Kafka listens, when not the shop in --dir
    #[arg(long, env = "KAFKA_BOOTSTRAP", global = true)]
    kafka: Option<String>,
    /// The folder of the shop
    #[arg(long, env = "SHOP_DIR", default_value = ".shop", global = true)]
    dir: PathBuf,
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
enum Action {
    /// List the waiting dead letters
    List {
        /// Of one service only: orders, inventory, payments, email, view
        service: Option<ServiceName>,
        /// Those that were dealt with as well
        #[arg(long)]
        all: bool,
    },
    /// Show one: cause, headers, bytes
    Show {
        /// Its name in the list, such as orders/2/17
        id: LetterId,
    },
    /// Put some back on their topics, once
    Replay {
        /// Their names in the list
        #[arg(required = true)]
        ids: Vec<LetterId>,
    },
    /// Take a record out of the way of a processor that it stops, or out of what it keeps for
    /// itself; it becomes a dead letter
    Pass {
        /// Where it stands, such as orders.commands/2/17
        record: Address,
        /// The processor that it stops, by its consumer group, such as orders or inventory-stock
        #[arg(long)]
        group: String,
        /// Why, for those who find the dead letter
        #[arg(long)]
        why: String,
    },
    /// Give some up; they stay on the topic for as long as it keeps records
    Discard {
        /// Their names in the list
        #[arg(required = true)]
        ids: Vec<LetterId>,
    },
}

/// Does it.
///
/// # Errors
/// When there is no shop or no such dead letter, or Kafka does not do it.
pub(crate) async fn run(args: DlqArgs) -> Result<()> {
    let bootstrap = match args.kafka {
        Some(kafka) => kafka,
        None => Found::at(&args.dir).await?.state()?.url("kafka")?.to_owned(),
    };
    if let Action::Pass { record, group, why } = args.action {
        return pass(bootstrap, args.dir, record, group, why).await;
    }
    // The calls block on Kafka.
    tokio::task::spawn_blocking(move || carry_out(&bootstrap, args.action)).await?
}

fn carry_out(bootstrap: &str, action: Action) -> Result<()> {
    // A replay puts a record where its key belongs.
    check_count(bootstrap, &topics::ALL)?;
    match action {
        Action::List { service, all } => {
            let services = service.map_or(ServiceName::ALL.to_vec(), |service| vec![service]);
            let mut letters = Vec::new();
            for service in services {
                letters.extend(list(bootstrap, topics::dlq(service))?);
            }
            letters.retain(|letter| all || letter.done.is_none());
            letters.iter().for_each(|letter| println!("{}", line(letter)));
            if letters.is_empty() {
                println!("no dead letters");
            }
            Ok(())
        }
        Action::Show { id } => {
            print!("{}", page(&find(bootstrap, &id)?));
            Ok(())
        }
        Action::Pass { .. } => unreachable!("it asks the database as well"),
        Action::Replay { ids } => settle_all(bootstrap, &ids, Done::Replayed),
        Action::Discard { ids } => settle_all(bootstrap, &ids, Done::Discarded),
    }
}

async fn pass(
    bootstrap: String,
    dir: PathBuf,
    record: Address,
    group: String,
    why: String,
) -> Result<()> {
    let services = ServiceName::ALL.into_iter();
    let mut processors = services
        .flat_map(|service| service.spec().processors.iter().map(move |one| (service, one)));
    let Some((service, spec)) = processors.find(|(_, spec)| spec.name == group) else {
        let names: Vec<_> =
            ServiceName::ALL.iter().flat_map(|s| s.spec().processor_names()).collect();
        bail!("there is no group `{group}`: there are {}", names.join(", "));
    };
    let inputs: Vec<_> = topics::inputs(spec.flows).iter().map(|topic| topic.name).collect();
    let is_input = inputs.contains(&&*record.topic);
    let own: Vec<_> = kept_by(service).map(|topic| topic.name).collect();
    if !is_input && !own.contains(&&*record.topic) {
        let all = [inputs, own].concat().join(", ");
        bail!("{group} does not read `{}`, and does not keep it: it has {all}", record.topic);
    }
    let in_database = match spec.offsets {
        // What it keeps for itself is read from its beginning when it restores its state.
        _ if !is_input => Some(0),
        Offsets::Kafka => None,
        Offsets::Database => {
            let found = Found::at(&dir).await?.state()?;
            let url = found.url(&format!("postgres.{service}"))?;
            Some(evidence::next_offset(url, &record.topic, record.partition).await?)
        }
    };
    let done = move || {
        let next = in_database.map_or_else(|| committed(&bootstrap, &group, &record), Ok)?;
        let letters = (service.as_str(), topics::dlq(service));
        pass_by(&bootstrap, &record, (&group, next), letters, &why)?;
        println!("{group} passes it by with its next attempt; it is a dead letter of {service}");
        Ok(())
    };
    tokio::task::spawn_blocking(done).await?
}

/// What `service` writes and no service handles, such as its changelogs: there, an unreadable
/// record becomes no dead letter by itself.
fn kept_by(service: ServiceName) -> impl Iterator<Item = &'static TopicSpec> {
    let is_handled = |topic: &TopicSpec| {
        ServiceName::ALL.iter().any(|one| one.spec().handles().any(|it| it.name == topic.name))
    };
    let letters = topics::dlq(service).name;
    topics::ALL.into_iter().filter(move |topic| {
        let is_own = topic.writers == Writers::One(service.as_str()) && topic.name != letters;
        is_own && !is_handled(topic)
    })
}

fn settle_all(bootstrap: &str, ids: &[LetterId], done: Done) -> Result<()> {
    for id in ids {
        let letter = find(bootstrap, id)?;
        settle(bootstrap, &letter, done, &topics::ALL)?;
        println!("{id} {}", word(done));
    }
    Ok(())
}

fn word(done: Done) -> &'static str {
    match done {
        Done::Replayed => "replayed",
        Done::Discarded => "discarded",
    }
}

fn line(letter: &DeadLetter) -> String {
    let done = letter.done.map_or(String::new(), |done| format!("  [{}]", word(done)));
    let id = letter.id.to_string();
    format!("{id:<16} {}  {:<28} {}{done}", letter.time(), letter.origin(), letter.cause())
}

fn page(letter: &DeadLetter) -> String {
    let text = |bytes: Option<&[u8]>| bytes.map_or("none".to_owned(), readable);
    let mut out = format!(
        "{}\n  cause   {}\n  was     {}\n  since   {}\n  state   {}\n  key     {}\n  value   {}\n",
        letter.id,
        letter.cause(),
        letter.origin(),
        letter.time(),
        letter.done.map_or("waiting", word),
        text(letter.record.key.as_deref()),
        text(letter.record.value.as_deref()),
    );
    if let Some((bytes, sha256)) = letter.cut() {
        out.push_str(&format!(
            "  cut     the record had {bytes} bytes, SHA-256 {sha256}; a replay reads it at {}\n",
            letter.origin()
        ));
    }
    for (name, value) in &letter.record.headers.0 {
        out.push_str(&format!("  header  {name} = {}\n", text(value.as_deref())));
    }
    out
}
