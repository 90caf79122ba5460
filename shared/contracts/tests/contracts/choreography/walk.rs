//! An order walks through the shop on paper: from command to mail, over the baton and the declared
//! flows alone.

use contracts::{
    ServiceName, Status,
    baton::{STEPS, Step},
    services::Dependency,
    topics::{Flow, ORDER_COMMANDS, ORDER_REFUSALS, ORDER_VIEWS, ORDERS, TopicSpec},
};
use std::fmt::Write;

pub(super) type Path = Vec<Step>;

/// Every path through the table, from nothing to a terminal status.
pub(super) fn paths() -> Vec<Path> {
    let (mut whole, mut open): (Vec<Path>, Vec<Path>) = (Vec::new(), vec![Vec::new()]);
    while let Some(path) = open.pop() {
        let at = path.last().map(|step| step.to);
        if at.is_some_and(Status::is_terminal) {
            whole.push(path);
            continue;
        }
        // The first way out is taken first.
        for step in STEPS.into_iter().filter(|step| step.from == at).rev() {
            open.push(path.iter().copied().chain([step]).collect());
        }
    }
    whole
}

/// What people call a path.
pub(super) fn title(path: &[Step]) -> String {
    let statuses: Vec<_> = path.iter().map(|step| step.to.as_str()).collect();
    let end = statuses.last().copied().unwrap_or_default();
    let before = statuses.get(statuses.len().saturating_sub(2)).copied().unwrap_or_default();
    let name = match (before, end) {
        ("paid", "confirmed") => "Confirmed",
        ("requested", "rejected") => "Rejected: a check fails, such as too little stock",
        ("requested", "cancelled") => "Cancelled: the deadline comes first",
        ("payment_declined", "cancelled") => "Declined: the bank, or the deadline, says no",
        ("refund_due", "refunded") => "Cancelled by the customer after the payment, and refunded",
        _ => panic!("the path {statuses:?} has no name yet: add one here"),
    };
    name.into()
}

/// A record, and what it follows from.
struct Message {
    topic: &'static TopicSpec,
    kind: String,
    writer: &'static str,
}

/// One arrow: a flow of `to` acts upon a message.
#[derive(PartialEq, Eq)]
struct Arrow {
    from: &'static str,
    to: &'static str,
    text: String,
}

/// The messages and arrows so far.
struct Walk {
    flows: Vec<(ServiceName, &'static Flow)>,
    steps: usize,
    messages: Vec<Message>,
    arrows: Vec<Arrow>,
}

/// The sequence of `path`.
pub(super) fn diagram(path: &[Step]) -> String {
    let arrows = walk(path, |_, _| true).unwrap_or_else(|unexplained| panic!("{unexplained}"));
    let mut text = String::from("```mermaid\nsequenceDiagram\n    actor customer\n");
    let mut named = Vec::new();
    for name in arrows.iter().flat_map(|arrow| [arrow.from, arrow.to]) {
        if name != "customer" && !named.contains(&name) {
            named.push(name);
            let _ = writeln!(text, "    participant {name}");
        }
    }
    for Arrow { from, to, text: label } in &arrows {
        let _ = writeln!(text, "    {from}->>{to}: {label}");
    }
    text + "```\n"
}

/// The arrows of `path`, over those flows of the shop that are `declared`.
///
/// # Errors
/// The first step that no flow explains, or that no mail announces.
fn walk(
    path: &[Step],
    declared: impl Fn(ServiceName, &Flow) -> bool,
) -> Result<Vec<Arrow>, String> {
    let flows = ServiceName::by_default()
        .flat_map(|service| service.spec().flows().map(move |flow| (service, flow)))
        .filter(|(service, flow)| declared(*service, flow))
        .collect();
    let mut walk = Walk { flows, steps: 0, messages: Vec::new(), arrows: Vec::new() };
    walk.ask("PlaceOrder");
    let mut settled = 0;
    loop {
        while settled < walk.messages.len() {
            walk.spread(settled);
            settled += 1;
        }
        let Some(step) = path.get(walk.steps) else { break };
        walk.take(*step)?;
        // The customer cancels while payments has the baton, and orders remembers.
        let refund = path.iter().any(|step| step.to == Status::RefundDue);
        if refund && step.to == Status::Validated {
            walk.ask("CancelOrder");
        }
    }
    match walk.arrows.iter().any(|arrow| arrow.to == "customer") {
        true => Ok(walk.arrows),
        false => Err(format!("nobody is mailed at the end of {}", title(path))),
    }
}

impl Walk {
    /// A customer asks at the HTTP edge of the service that takes the command.
    fn ask(&mut self, command: &str) {
        let takes = |service: &ServiceName| {
            service.spec().edge.iter().any(|topic| topic.name == ORDER_COMMANDS.name())
        };
        let edge = ServiceName::by_default().find(takes).expect("a service takes commands");
        self.arrow("customer", edge.as_str(), format!("POST ({command})"));
        let kind = command.to_owned();
        self.messages.push(Message { topic: &ORDER_COMMANDS.spec, kind, writer: edge.as_str() });
    }

    fn arrow(&mut self, from: &'static str, to: &'static str, text: String) {
        let arrow = Arrow { from, to, text };
        // Two flows of one service may act upon one record.
        if self.arrows.last() != Some(&arrow) {
            self.arrows.push(arrow);
        }
    }

    /// Every flow acts upon message `index`, but none takes a step of the order.
    fn spread(&mut self, index: usize) {
        let Message { topic, kind, writer } = &self.messages[index];
        let (topic, kind, writer) = (*topic, kind.clone(), *writer);
        let acting: Vec<_> = self.acting(topic, &kind).collect();
        for (service, flow) in acting {
            let text = label(topic, &kind);
            let told: Vec<_> = flow.to.iter().filter(|to| self.is_told(to)).collect();
            let mails = service.spec().waits_for.contains(&Dependency::Smtp);
            // Payments has the baton: orders remembers the cancellation until it comes back.
            let is_remembered = kind == "CancelOrder";
            if !told.is_empty() || flow.to.is_empty() || mails || is_remembered {
                self.arrow(writer, service.as_str(), text);
            }
            for to in told {
                for kind in kinds(flow, to, &kind) {
                    self.messages.push(Message { topic: to, kind, writer: service.as_str() });
                }
            }
            if mails {
                self.arrow(service.as_str(), "customer", format!("mail ({kind})"));
            }
        }
    }

    /// The flow that explains `step`: of those that can, the one that has waited for the latest
    /// message.
    fn take(&mut self, step: Step) -> Result<(), String> {
        let explains = |(service, flow): &(ServiceName, &Flow)| {
            *service == step.writer
                && flow.to.iter().any(|to| to.name == ORDERS.name())
                && flow.gives.contains(&step.to.as_str())
        };
        let latest = self.messages.iter().rev().find_map(|message| {
            let flow = self.acting(message.topic, &message.kind).filter(explains).last()?;
            Some((message, flow))
        });
        let Some((message, (service, flow))) = latest else {
            let Step { from, to, writer, .. } = step;
            let from = from.map_or("nothing", Status::as_str);
            return Err(format!("no flow of {writer} explains {to} after {from}"));
        };
        let text = format!("{}, by {}", label(message.topic, &message.kind), flow.handler);
        let writer = message.writer;
        self.arrow(writer, service.as_str(), text);
        let (kind, writer) = (step.to.as_str().to_owned(), service.as_str());
        self.messages.push(Message { topic: &ORDERS.spec, kind, writer });
        self.steps += 1;
        Ok(())
    }

    fn acting<'a>(
        &'a self,
        topic: &'a TopicSpec,
        kind: &'a str,
    ) -> impl Iterator<Item = (ServiceName, &'static Flow)> + 'a {
        let acts = move |(_, flow): &&(ServiceName, &'static Flow)| {
            flow.from.name == topic.name && flow.acts_upon(kind)
        };
        self.flows.iter().filter(acts).copied()
    }

    /// Whether a record on `topic` leads on. The commands of a path are accepted, so none is
    /// refused.
    fn is_told(&self, topic: &TopicSpec) -> bool {
        ![ORDERS.name(), ORDER_REFUSALS.name()].contains(&topic.name)
            && self.flows.iter().any(|(_, flow)| flow.from.name == topic.name)
    }
}

/// What stands at an arrow: the topic and the record, for an order with its status.
fn label(topic: &TopicSpec, kind: &str) -> String {
    match STEPS.iter().find(|step| step.to.as_str() == kind) {
        Some(step) if topic.name == ORDERS.name() => {
            format!("{}: {} ({kind})", topic.name, step.transition)
        }
        _ => format!("{}: {kind}", topic.name),
    }
}

/// The kinds of record that `flow` writes to `topic` because of one of `kind`.
fn kinds(flow: &Flow, topic: &TopicSpec, kind: &str) -> Vec<String> {
    match (flow.gives, super::kinds_on(topic)) {
        // What can be seen is the order as it was read.
        ([], _) if topic.name == ORDER_VIEWS.name() => vec![kind.to_owned()],
        ([], all) => all,
        (gives, all) => {
            let here = gives.iter().filter(|kind| all.iter().any(|known| known == *kind));
            here.map(|kind| (*kind).to_owned()).collect()
        }
    }
}

#[test]
fn a_step_that_no_flow_explains_fails_the_page() {
    let path = paths().into_iter().find(|path| title(path) == "Confirmed").unwrap();
    assert!(walk(&path, |_, _| true).is_ok());
    for (handler, unexplained) in [
        ("place_order", "no flow of orders explains requested after nothing"),
        ("order_validated", "no flow of payments explains paid after validated"),
        ("view_updated", "nobody is mailed at the end of Confirmed"),
    ] {
        let without = walk(&path, |_, flow| flow.handler != handler);
        assert_eq!(without.err().as_deref(), Some(unexplained));
    }
}
