//! The files of the page: those that it shares with the page of the view, as they are there, and
//! its own. The view's `live.js` asks a server; in its place is one that asks a run.

use crate::asked::Asked;
use serde::Serialize;
use simulation::{
    live::{self, Topology},
    mutation::NOTICED,
    press::BUTTONS,
};

pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const CSS: &str = "text/css; charset=utf-8";
pub(crate) const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the page.
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) media_type: &'static str,
    pub(crate) text: &'static str,
}

macro_rules! file {
    (shared $name:literal, $media_type:expr) => {
        File {
            name: $name,
            media_type: $media_type,
            text: include_str!(concat!("../../../services/view/page/", $name)),
        }
    };
    (own $name:literal, $media_type:expr) => {
        File {
            name: $name,
            media_type: $media_type,
            text: include_str!(concat!("../page/", $name)),
        }
    };
}

/// Every file but `index.html`. A module stands after those that it imports.
pub(crate) static FILES: [File; 16] = [
    file!(shared "icon.svg", SVG),
    file!(shared "style.css", CSS),
    file!(own "play.css", CSS),
    file!(shared "dom.js", JS),
    file!(shared "words.js", JS),
    file!(shared "picture.js", JS),
    file!(own "run.js", JS),
    file!(own "live.js", JS),
    file!(own "session.js", JS),
    file!(shared "choreography.js", JS),
    file!(shared "order.js", JS),
    file!(shared "router.js", JS),
    file!(own "deck.js", JS),
    file!(own "auditor.js", JS),
    file!(own "tour.js", JS),
    file!(own "play.js", JS),
];

/// The page itself, with a place for its head and one for its data.
pub(crate) const INDEX: &str = include_str!("../page/index.html");

/// What the page knows before it asks.
#[derive(Serialize)]
struct Facts {
    /// When every run begins.
    began: String,
    /// The run of an address that says nothing.
    usual: Usual,
    topology: Topology,
    laws: Vec<Named>,
    mutations: Vec<Mutated>,
    buttons: Vec<Button>,
}

#[derive(Serialize)]
struct Usual {
    seed: u64,
    orders: usize,
    weather: String,
}

#[derive(Serialize)]
struct Named {
    name: &'static str,
    statement: &'static str,
}

#[derive(Serialize)]
struct Mutated {
    name: &'static str,
    statement: &'static str,
    /// The law that notices it.
    law: &'static str,
}

#[derive(Serialize)]
struct Button {
    name: &'static str,
    label: &'static str,
    says: &'static str,
    of_service: bool,
}

/// What the page knows before it asks, as JSON for an element `script`.
pub(crate) fn facts() -> serde_json::Result<String> {
    let Asked { seed, orders, weather, .. } = Asked::default();
    let law = |law: &auditor::Law| Named { name: law.name(), statement: law.statement() };
    let facts = Facts {
        began: live::began().rfc3339(),
        usual: Usual { seed, orders, weather },
        topology: Topology::of_contracts(),
        laws: auditor::Law::ALL.iter().map(law).collect(),
        mutations: NOTICED
            .iter()
            .map(|(mutation, law)| Mutated {
                name: mutation.name,
                statement: mutation.statement,
                law: law.name(),
            })
            .collect(),
        buttons: BUTTONS
            .into_iter()
            .map(|(_, name, label, says, of_service)| Button { name, label, says, of_service })
            .collect(),
    };
    json(&facts)
}

/// JSON that cannot end the element that it stands in.
pub(crate) fn json(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_string(value)?.replace('<', "\\u003c"))
}
