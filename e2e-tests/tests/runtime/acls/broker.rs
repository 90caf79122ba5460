//! A Kafka with logins and access control, with the settings of the shop's broker besides.

use contracts::acls::{principals, text};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

/// The super user. Each user's password is its name.
pub const ADMIN: &str = "admin";

const SERVER: &str = include_str!("../../../../deploy/kafka/server.properties");
const LOG4J: &str = include_str!("../../../../deploy/kafka/log4j2.properties");

/// Adds what each line says in the words of `kafka-acls.sh`. That tool itself is in none of the
/// jars that a broker needs, and would be one Java machine per line.
const ACCESS: &str = include_str!("../../../../deploy/kafka/Access.java");

const STARTED_WITHIN: Duration = Duration::from_secs(120);

/// It ends when it is dropped.
pub struct Broker {
    pub bootstrap: String,
    jars: PathBuf,
    folder: TempDir,
    _server: Child,
}

impl Broker {
    /// One without a rule: only [`ADMIN`] may do anything.
    pub async fn start() -> Self {
        let jars = native::kafka_jars().await.expect("Kafka is there");
        let folder = TempDir::new().unwrap();
        let [kafka, controller] = free_ports();
        let settings = SERVER
            .replace("{{port.kafka}}", &kafka.to_string())
            .replace("{{port.controller}}", &controller.to_string())
            .replace("{{dir.data}}", &folder.path().to_string_lossy());
        let config = folder.path().join("server.properties");
        // Of a setting that comes twice the last one counts.
        fs::write(&config, settings + &access_control(kafka, controller)).unwrap();
        fs::write(folder.path().join("log4j2.properties"), LOG4J).unwrap();
        fs::write(folder.path().join("Access.java"), ACCESS).unwrap();
        let config = config.to_string_lossy().into_owned();
        let tool = ["kafka.tools.StorageTool", "format", "--standalone", "-c", &config];
        let format = java(&jars, &folder, &tool).args(["-t", "bXVybXVyYXRpb24tMDAwMQ"]).output();
        let formatted = format.await.expect("there is a java");
        assert!(formatted.status.success(), "{formatted:?}");
        let log = fs::File::create(folder.path().join("kafka.log")).unwrap();
        let java = java(&jars, &folder, &["kafka.Kafka", &config]);
        // It ends with our end of its input, even when a signal kills this process.
        let mut server = Command::new("sh");
        server.args(["-c", "\"$@\" & cat; kill -9 $!", "kafka"]);
        server.arg(java.as_std().get_program()).args(java.as_std().get_args());
        server.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        let server = server.spawn().unwrap();
        let bootstrap = format!("127.0.0.1:{kafka}");
        let broker = Self { bootstrap, jars, folder, _server: server };
        testkit::wait_for("a Kafka with access control", STARTED_WITHIN, || async {
            TcpStream::connect(&broker.bootstrap).map_err(|error| (error, broker.log()))
        })
        .await;
        broker
    }

    /// Add the rules of every principal, as `./shop acls` says them.
    pub async fn add_rules(&self) {
        let login = format!(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config={};\n",
            plain(&format!("username=\"{ADMIN}\" password=\"{ADMIN}\""))
        );
        let config = self.folder.path().join("admin.properties");
        fs::write(&config, login).unwrap();
        let calls = principals();
        let calls = calls.iter().flat_map(text::arguments);
        let lines: String = calls.map(|words| words.join(" ") + "\n").collect();
        let source = self.folder.path().join("Access.java");
        let words = [&source.to_string_lossy(), &self.bootstrap[..], &config.to_string_lossy()];
        let mut tool = java(&self.jars, &self.folder, &words);
        let mut tool = tool.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = tool.stdin.take().unwrap();
        let write = async move { input.write_all(lines.as_bytes()).await };
        let (written, output) = tokio::join!(write, tool.wait_with_output());
        let output = output.unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && written.is_ok(), "{told}");
    }

    /// What it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("kafka.log")).unwrap_or_default()
    }
}

/// PLAIN and not SCRAM, so that users need not be made first: the authorizer sees the same `User:`
/// either way. `tests/profiles/secured.rs` has a Kafka with SCRAM and TLS.
fn access_control(port: u16, controller: u16) -> String {
    let users = principals();
    let users = users.iter().map(|user| user.name).chain([ADMIN]);
    let users: Vec<_> = users.map(|name| format!("user_{name}=\"{name}\"")).collect();
    let own = format!("username=\"{ADMIN}\" password=\"{ADMIN}\" {}", users.join(" "));
    format!(
        "\nlisteners=SASL_PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=SASL_PLAINTEXT://127.0.0.1:{port}\n\
         listener.security.protocol.map=SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=SASL_PLAINTEXT\n\
         sasl.enabled.mechanisms=PLAIN\n\
         sasl.mechanism.inter.broker.protocol=PLAIN\n\
         listener.name.sasl_plaintext.plain.sasl.jaas.config={};\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         # ANONYMOUS: the node, on its controller's listener.\n\
         super.users=User:{ADMIN};User:ANONYMOUS\n",
        plain(&own)
    )
}

fn plain(options: &str) -> String {
    format!("org.apache.kafka.common.security.plain.PlainLoginModule required {options}")
}

fn java(jars: &std::path::Path, folder: &TempDir, rest: &[&str]) -> Command {
    let log4j = folder.path().join("log4j2.properties");
    let mut command = Command::new("java");
    command
        .args(["-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        .arg(format!("-Dlog4j2.configurationFile={}", log4j.display()))
        .args(["-cp", &format!("{}/*", jars.display())])
        .args(rest)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
