//! [`Browser`]: a headless Chromium, driven over WebDriver (W3C) by the driver that comes with it.

use crate::PATIENCE;
use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
};
use testkit::wait_for;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::OnceCell,
};

/// Checks pages for faults of accessibility; from the registry of npm, once for a build folder.
const AXE: &str = "axe-core@4.10.3";

/// Keys, as WebDriver has them.
pub const LEFT: &str = "\u{e012}";
pub const BACKSPACE: &str = "\u{e003}";
pub const ENTER: &str = "\u{e007}";

/// How an element is named in WebDriver's JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window. It ends with this value, and with the process.
pub struct Browser {
    http: Client,
    session: String,
    _driver: Child,
}

impl Browser {
    /// A browser at `url`.
    pub async fn at(url: &str) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect(
                "chromedriver: `./shop test` installs it, as does apt-get with chromium-driver",
            );
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver says its port");
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let arguments = [
            "--headless=new",
            "--window-size=1280,900",
            // Root, as in a container, has no sandbox.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            // The browser ends with its driver, however that ends.
            "--remote-debugging-pipe",
        ];
        let capabilities = json!({ "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        }});
        let (http, base) = (Client::new(), format!("http://127.0.0.1:{port}/session"));
        let mut browser = Self { http, session: base, _driver: driver };
        let started = browser.ask("", json!({ "capabilities": capabilities })).await.unwrap();
        browser.session = format!("{}/{}", browser.session, started["sessionId"].as_str().unwrap());
        browser.goto(url).await;
        browser
    }

    /// The answer to a command, or what is wrong with it.
    async fn ask(&self, path: &str, body: Value) -> Result<Value, String> {
        self.command(Method::POST, path, Some(body)).await
    }

    async fn command(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, String> {
        let request = self.http.request(method, format!("{}{path}", self.session));
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        let response = request.timeout(PATIENCE).send().await.map_err(|error| error.to_string())?;
        let is_success = response.status().is_success();
        let mut answer: Value = response.json().await.map_err(|error| error.to_string())?;
        let value = answer["value"].take();
        if is_success { Ok(value) } else { Err(value["message"].to_string()) }
    }

    /// Open `url`.
    pub async fn goto(&self, url: &str) {
        self.ask("/url", json!({ "url": url })).await.unwrap();
    }

    /// The address of the page.
    pub async fn address(&self) -> String {
        let address = self.command(Method::GET, "/url", None).await.unwrap();
        address.as_str().unwrap().to_owned()
    }

    /// The first element that this CSS selector finds.
    async fn element(&self, css: &str) -> Result<String, String> {
        let found = self.ask("/element", json!({ "using": "css selector", "value": css })).await?;
        Ok(found[ELEMENT].as_str().unwrap_or_default().to_owned())
    }

    /// Wait for an element that this CSS selector finds.
    pub async fn find(&self, css: &str) -> String {
        wait_for(&format!("{css} on the page"), PATIENCE, || async {
            match self.element(css).await {
                Ok(element) => Ok(element),
                Err(error) => Err((error, self.text("body").await)),
            }
        })
        .await
    }

    /// Click what the selector finds, as soon as it is there; the page may draw it again meanwhile.
    pub async fn click(&self, css: &str) {
        wait_for(&format!("a click on {css}"), PATIENCE, || async {
            let element = self.element(css).await?;
            self.ask(&format!("/element/{element}/click"), json!({})).await
        })
        .await;
    }

    /// Type into what the selector finds.
    pub async fn keys(&self, css: &str, keys: &str) {
        let element = self.find(css).await;
        self.ask(&format!("/element/{element}/value"), json!({ "text": keys })).await.unwrap();
    }

    /// The text of all that the selector finds, with a blank wherever there is space.
    pub async fn text(&self, css: &str) -> String {
        let script = "return [...document.querySelectorAll(arguments[0])]
            .map((found) => found.innerText).join(' ').replace(/\\s+/g, ' ')";
        self.run(script, json!([css])).await.as_str().unwrap_or_default().to_owned()
    }

    /// Wait until the text of what the selector finds has `part`; the text.
    pub async fn until(&self, css: &str, part: &str) -> String {
        wait_for(&format!("{part:?} in {css}"), PATIENCE, || async {
            let text = self.text(css).await;
            if text.contains(part) { Ok(text) } else { Err(text) }
        })
        .await
    }

    /// What a script returns.
    pub async fn run(&self, script: &str, arguments: Value) -> Value {
        self.ask("/execute/sync", json!({ "script": script, "args": arguments })).await.unwrap()
    }

    /// What a script gives to its last argument, a function.
    pub async fn run_async(&self, script: &str, arguments: Value) -> Value {
        self.ask("/execute/async", json!({ "script": script, "args": arguments })).await.unwrap()
    }

    /// A window of this size, in light or dark.
    pub async fn look(&self, width: u32, height: u32, scheme: &str) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Ask for every file of a page again, as a browser does that comes for the first time.
    pub async fn keep_nothing(&self) {
        self.devtools("Network.enable", json!({})).await;
        self.devtools("Network.setCacheDisabled", json!({ "cacheDisabled": true })).await;
    }

    async fn devtools(&self, command: &str, params: Value) {
        let body = json!({ "cmd": command, "params": params });
        self.ask("/goog/cdp/execute", body).await.unwrap();
    }

    /// The errors on the console since the last call.
    pub async fn errors(&self) -> Vec<Value> {
        let log = self.ask("/se/log", json!({ "type": "browser" })).await.unwrap();
        let entries = log.as_array().cloned().unwrap_or_default();
        entries.into_iter().filter(|entry| entry["level"] == "SEVERE").collect()
    }

    /// What axe-core finds wrong with the page as it is, in short.
    pub async fn faults(&self) -> Vec<String> {
        const RUN: &str = "
            const done = arguments[arguments.length - 1];
            const tell = ({ impact, id, nodes }) => `${impact} ${id}: ` + nodes.slice(0, 3).map(
                ({ html, any }) => `${html.slice(0, 200)} ${any.map(({ message }) => message)}`);
            axe.run(document, { resultTypes: ['violations'] }).then(
                ({ violations }) => done(violations.map(tell)), (error) => done([String(error)]));";
        self.run(axe().await, json!([])).await;
        let faults = self.run_async(RUN, json!([])).await;
        faults.as_array().unwrap().iter().map(|fault| fault.as_str().unwrap().to_owned()).collect()
    }

    /// Keep a picture of the window under `name`, for people to look at.
    pub async fn picture(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page");
        std::fs::create_dir_all(&folder).unwrap();
        let picture = self.command(Method::GET, "/screenshot", None).await.unwrap();
        let picture = BASE64_STANDARD.decode(picture.as_str().unwrap()).unwrap();
        std::fs::write(folder.join(name), picture).unwrap();
    }
}

/// The script of axe-core.
async fn axe() -> &'static str {
    static SCRIPT: OnceCell<String> = OnceCell::const_new();
    let fetch = || async {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let archive = format!("{}.tgz", AXE.replace('@', "-"));
        if !folder.join(&archive).exists() {
            run("npm", &["pack", "--silent", AXE], folder)
                .await
                .expect("npm fetches axe-core: `./shop test` installs it, as does apt-get");
        }
        let script = run("tar", &["xzOf", &archive, "package/axe.min.js"], folder).await;
        script.expect("axe-core is in its archive")
    };
    SCRIPT.get_or_init(fetch).await
}

async fn run(program: &str, arguments: &[&str], folder: &Path) -> Result<String, String> {
    let output = Command::new(program).args(arguments).current_dir(folder).output().await;
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => String::from_utf8(output.stdout).map_err(|error| error.to_string()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
