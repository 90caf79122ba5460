//! The schemas of every topic, from the registry of topics, registered before any service writes;
//! and their ids, which the log keeps for a registry that has lost them.

use std::collections::BTreeSet;
use std::mem;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use client::Progress;
use contracts::topics;
use reqwest::{Client, RequestBuilder, Response, StatusCode, header::CONTENT_TYPE};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use streams_kafka::schemas::{KnownSchemas, remember};
use tokio::{task::spawn_blocking, time::Instant};
use tokio_util::sync::CancellationToken;

use super::retry_until;

/// A registry that has just begun may take long for its first answers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Of our own subjects: a new schema must read all old records, and all old readers the new ones.
const OURS: &str = "FULL_TRANSITIVE";
/// Of all others. The schema of a captured table is that of another owner's database, which changes
/// as it likes: a registry that refuses it stops the connector, and with it every other table. Its
/// readers resolve each version against what they read of it, and name what they cannot.
const OTHERS: &str = "NONE";
const LEADER_DEADLINE: Duration = Duration::from_secs(15);
/// Where Apicurio has Confluent's API, and where its own.
const CONFLUENT: &str = "/apis/ccompat/v7";
const OWN: &str = "/apis/registry/v3";
/// How often [`keep`] looks whether the registry has lost a subject: one question. A connector that
/// finds its schemas gone registers them again, under other ids, with its next record.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Every so many looks it compares every id, a question for each, and looks for new schemas: those
/// of captured tables change with them.
const COMPARE_EVERY: u32 = 6;

/// Where the servers are that know something of schemas.
#[derive(Debug, Clone)]
pub struct Places {
    /// Apicurio's Confluent compatible API.
    pub registry: String,
    /// Kafka, which keeps the ids.
    pub kafka: String,
    /// Connect, whose connectors remember ids. None: they are left alone.
    pub connect: Option<String>,
}

/// Gives the registry the ids that the log knows, if it has others; sets the compatibilities,
/// registers every schema, and keeps the ids in the log. Changes nothing the second time. Gives the
/// number of ids that were given back: then connectors must forget theirs, see [`forget`].
///
/// # Errors
/// When the registry or Kafka does not answer, or the registry refuses a schema: with its reason.
pub async fn ensure(places: &Places) -> Result<usize> {
    ensure_by(places, Means::All).await
}

async fn ensure_by(places: &Places, means: Means) -> Result<usize> {
    let registry = Registry::new(&places.registry)?;
    let known = read_known(&places.kafka).await?;
    let wrong = registry.wrong_ids(&known).await?;
    if !wrong.is_empty() {
        registry.restore(&known, &wrong, means).await?;
    }
    for (subject, schema) in ours() {
        registry.register(&subject, schema).await?;
    }
    registry.bind(None).await?;
    registry.keep_ids(known, &places.kafka).await?;
    Ok(wrong.len())
}

/// The subjects of our topics, each with its schema.
fn ours() -> impl Iterator<Item = (String, &'static str)> {
    let topics = topics::ALL.iter().filter(|topic| topic.registers_schemas());
    topics.flat_map(|topic| {
        (topic.schemas)().iter().map(|schema| (topic.subject(schema), schema.text))
    })
}

/// What [`ensure`] has done, for people.
pub fn told(given_back: usize) -> String {
    match given_back {
        0 => "schemas are registered".to_owned(),
        ids => format!("schemas are registered; {ids} ids of the log were given back"),
    }
}

/// Restarts the connectors: they go on with the ids that a registry gave them before it was given
/// back the log's.
///
/// # Errors
/// When Connect does not answer.
pub async fn forget(places: &Places) -> Result<()> {
    let Some(connect) = &places.connect else { return Ok(()) };
    let client = Client::builder().timeout(REQUEST_TIMEOUT).build()?;
    let names = send(client.get(format!("{connect}/connectors"))).await?;
    for name in serde_json::from_slice::<Vec<String>>(&names)? {
        let url = format!("{connect}/connectors/{name}/restart?includeTasks=true");
        send(client.post(url)).await.with_context(|| format!("restarting connector {name}"))?;
    }
    Ok(())
}

/// Keeps the ids of schemas that others register, such as connectors, in the log as well.
///
/// # Errors
/// When the registry or Kafka does not answer, or the registry has other ids than the log.
pub async fn keep_new(places: &Places) -> Result<()> {
    let registry = Registry::new(&places.registry)?;
    let known = read_known(&places.kafka).await?;
    let wrong = registry.wrong_ids(&known).await?;
    ensure!(wrong.is_empty(), "{}", wrong[0].says);
    registry.keep_ids(known, &places.kafka).await
}

/// Looks after the ids until `stop`: a registry that has lost some gets them back, and new ones are
/// kept in the log. Says once what it cannot mend: a registry that gives an id to another schema
/// may be another shop's, so that is for a person to decide.
pub async fn keep(places: Places, progress: Progress, stop: CancellationToken) {
    let (mut told, mut looks, mut seen) = (String::new(), 0_u32, BTreeSet::new());
    while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let is_due = looks.is_multiple_of(COMPARE_EVERY) || !told.is_empty();
        looks = looks.wrapping_add(1);
        let why = match look(&places, &mut seen, is_due).await {
            Ok(None) => String::new(),
            Ok(Some(done)) => done,
            Err(error) => format!("{error:#}"),
        };
        if why != told && !why.is_empty() {
            progress.step("registry", &why);
        }
        told = why;
    }
}

/// Compares the registry with the log if that `is_due`, or if it has lost a subject that it had
/// when it was `seen`.
async fn look(
    places: &Places,
    seen: &mut BTreeSet<String>,
    is_due: bool,
) -> Result<Option<String>> {
    let registry = Registry::new(&places.registry)?;
    let before = mem::replace(seen, registry.subjects().await?);
    if !is_due && before.is_subset(seen) {
        return Ok(None);
    }
    let known = read_known(&places.kafka).await?;
    let wrong = registry.wrong_ids(&known).await?;
    if let Some(taken) = wrong.iter().find(|wrong| wrong.is_taken) {
        bail!("{}", taken.says);
    }
    if !wrong.is_empty() {
        let given_back = ensure_by(places, Means::Adding).await?;
        forget(places).await?;
        return Ok(Some(format!("it had lost {given_back} ids of schemas, and has them again")));
    }
    // A schema that two subjects have keeps its id when one of them is deleted.
    if let Some((lost, _)) = ours().find(|(subject, _)| !seen.contains(subject)) {
        ensure_by(places, Means::Adding).await?;
        return Ok(Some(format!("it had lost {lost}, and has it again")));
    }
    registry.keep_ids(known, &places.kafka).await?;
    Ok(None)
}

/// A topic that was made a moment ago may not have a leader yet.
async fn read_known(bootstrap: &str) -> Result<KnownSchemas> {
    retry_until(Instant::now() + LEADER_DEADLINE, || async {
        let bootstrap = bootstrap.to_owned();
        spawn_blocking(move || KnownSchemas::read(&bootstrap)).await?
    })
    .await
}

/// What may be done to give ids back.
#[derive(Debug, Clone, Copy)]
enum Means {
    /// Adding what is missing.
    Adding,
    /// Also emptying the registry before.
    All,
}

/// An id that the registry does not have, or gives to another schema.
struct Wrong {
    says: String,
    is_taken: bool,
}

/// A version of a subject, as the registry has it.
#[derive(Deserialize)]
struct Version {
    subject: String,
    id: u32,
    schema: String,
}

struct Registry {
    client: Client,
    url: String,
}

impl Registry {
    fn new(url: &str) -> Result<Self> {
        let client = Client::builder().timeout(REQUEST_TIMEOUT).build()?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned() })
    }

    /// Sets the compatibility of a subject of ours, or of all that have none of their own.
    async fn bind(&self, subject: Option<&str>) -> Result<()> {
        let (url, compatibility) = match subject {
            Some(subject) => (format!("{}/config/{subject}", self.url), OURS),
            None => (format!("{}/config", self.url), OTHERS),
        };
        let config = json!({ "compatibility": compatibility });
        let answer = self.client.put(url).json(&config).send().await?;
        if subject.is_none() && answer.status() == StatusCode::NOT_FOUND {
            // Apicurio takes NONE for the removal of the rule, and there is none to remove.
            return Ok(());
        }
        accept(answer).await.map(drop).with_context(|| {
            let whose = subject.unwrap_or("all others");
            format!("setting the compatibility of {whose} to {compatibility}")
        })
    }

    async fn register(&self, subject: &str, schema: &str) -> Result<()> {
        // A subject is bound before it gets another version, and a new one with its first.
        let _ = self.bind(Some(subject)).await;
        let url = format!("{}/subjects/{subject}/versions", self.url);
        let request = self.client.post(url).json(&json!({ "schema": schema }));
        send(request).await.with_context(|| format!("registering schema {subject}"))?;
        self.bind(Some(subject)).await
    }

    async fn subjects(&self) -> Result<BTreeSet<String>> {
        self.get("/subjects").await
    }

    async fn wrong_ids(&self, known: &KnownSchemas) -> Result<Vec<Wrong>> {
        let mut wrong = Vec::new();
        for (id, _) in known.iter() {
            let found = self.schema(id).await?;
            if let Err(error) = known.check(id, found.as_deref()) {
                wrong.push(Wrong { says: error.to_string(), is_taken: found.is_some() });
            }
        }
        Ok(wrong)
    }

    async fn schema(&self, id: u32) -> Result<Option<String>> {
        #[derive(Deserialize)]
        struct Found {
            schema: String,
        }
        let answer = self.client.get(format!("{}/schemas/ids/{id}", self.url)).send().await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let found: Found = answer.error_for_status()?.json().await?;
        Ok(Some(found.schema))
    }

    /// Imports the copy that the log has. Where that does not help, as an id is taken or a schema
    /// has another one, the registry begins again with the copy, and what it had beyond gets other
    /// ids.
    async fn restore(&self, known: &KnownSchemas, wrong: &[Wrong], means: Means) -> Result<()> {
        let copy = known.export().context("the log has no copy of the registry")?;
        if !wrong.iter().any(|wrong| wrong.is_taken) {
            self.import(copy).await?;
            let left = self.wrong_ids(known).await?;
            match (left.first(), means) {
                (None, _) => return Ok(()),
                (Some(left), Means::Adding) => bail!("{}", left.says),
                (Some(_), Means::All) => {}
            }
        }
        let mut beyond = self.versions().await?;
        let is_known = |Version { id, schema, .. }: &Version| {
            known.contains(*id) && known.check(*id, Some(schema)).is_ok()
        };
        beyond.retain(|version| !is_known(version));
        self.delete_all().await?;
        self.import(copy).await?;
        for version in beyond {
            self.register(&version.subject, &version.schema).await?;
        }
        let left = self.wrong_ids(known).await?;
        ensure!(left.is_empty(), "the log's copy of the registry does not help: {}", left[0].says);
        Ok(())
    }

    async fn import(&self, copy: &[u8]) -> Result<()> {
        let url = self.own("/admin/import?requireEmptyRegistry=false")?;
        let import = self.client.post(url).header(CONTENT_TYPE, "application/zip");
        let import = import.body(copy.to_vec());
        send(import).await.context("importing the log's copy into the registry").map(drop)
    }

    /// Twice each: the first time a subject is only hidden.
    async fn delete_all(&self) -> Result<()> {
        let subjects: Vec<String> = self.get("/subjects?deleted=true").await?;
        for subject in subjects {
            for how in ["", "?permanent=true"] {
                let url = format!("{}/subjects/{subject}{how}", self.url);
                let answer = self.client.delete(url).send().await?;
                let status = answer.status();
                let gone = status.is_success() || status == StatusCode::NOT_FOUND;
                ensure!(gone, "the registry does not delete {subject}: {status}");
            }
        }
        Ok(())
    }

    async fn versions(&self) -> Result<Vec<Version>> {
        let mut versions = Vec::new();
        for subject in self.subjects().await? {
            let numbers: Vec<u32> = self.get(&format!("/subjects/{subject}/versions")).await?;
            for number in numbers {
                versions.push(self.get(&format!("/subjects/{subject}/versions/{number}")).await?);
            }
        }
        Ok(versions)
    }

    /// Writes what the log does not know yet, and a copy of the registry that has it.
    async fn keep_ids(&self, known: KnownSchemas, bootstrap: &str) -> Result<()> {
        let mut new = self.versions().await?;
        new.retain(|version| !known.contains(version.id));
        if new.is_empty() && known.export().is_some() {
            return Ok(());
        }
        let request = self.client.get(self.own("/admin/export")?);
        let export = send(request.header("accept", "application/zip")).await;
        let export = export.context("exporting the registry")?;
        let bootstrap = bootstrap.to_owned();
        let write = move || {
            let ids = new.iter().map(|new| (new.id, new.subject.as_str(), new.schema.as_str()));
            remember(&bootstrap, export, ids)
        };
        spawn_blocking(write).await?
    }

    fn own(&self, path: &str) -> Result<String> {
        let base = self.url.strip_suffix(CONFLUENT);
        let base = base.with_context(|| format!("{} does not end in {CONFLUENT}", self.url))?;
        Ok(format!("{base}{OWN}{path}"))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let body = send(self.client.get(format!("{}{path}", self.url))).await?;
        serde_json::from_slice(&body).with_context(|| format!("the registry's answer to {path}"))
    }
}

async fn send(request: RequestBuilder) -> Result<Vec<u8>> {
    accept(request.send().await?).await
}

async fn accept(answer: Response) -> Result<Vec<u8>> {
    let status = answer.status();
    let body = answer.bytes().await.unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    ensure!(status.is_success(), "the registry answers {status}: {text}");
    Ok(body.to_vec())
}
