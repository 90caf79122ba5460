//! The rules for Kafka's own tool, and for Strimzi.

use super::{Operation, Pattern, Principal, Resource, Rule, principals};
use std::{collections::BTreeMap, fmt::Write};

impl Resource {
    /// As `kafka-acls.sh` calls it.
    fn flag(self) -> &'static str {
        match self {
            Resource::Topic => "--topic",
            Resource::Group => "--group",
            Resource::TransactionalId => "--transactional-id",
        }
    }

    /// As Strimzi calls it.
    fn kind(self) -> &'static str {
        match self {
            Resource::Topic => "topic",
            Resource::Group => "group",
            Resource::TransactionalId => "transactionalId",
        }
    }
}

impl Pattern {
    fn as_str(self) -> &'static str {
        match self {
            Pattern::Literal => "literal",
            Pattern::Prefixed => "prefixed",
        }
    }
}

impl Operation {
    /// As `kafka-acls.sh` and Strimzi call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Read => "Read",
            Operation::Write => "Write",
            Operation::Describe => "Describe",
            Operation::Create => "Create",
            Operation::DescribeConfigs => "DescribeConfigs",
            Operation::AlterConfigs => "AlterConfigs",
        }
    }
}

/// The arguments of `kafka-acls.sh` that add the rules of `principal`, a list per call. Of the
/// resources that some operation is about, one call names all.
pub fn arguments(principal: &Principal) -> Vec<Vec<String>> {
    let mut calls: BTreeMap<(Pattern, Operation), Vec<&Rule>> = BTreeMap::new();
    for rule in &principal.rules {
        calls.entry((rule.pattern, rule.operation)).or_default().push(rule);
    }
    let call = |((pattern, operation), rules): ((Pattern, Operation), Vec<&Rule>)| {
        let user = format!("User:{}", principal.name);
        let mut words: Vec<String> =
            ["--add", "--force", "--allow-principal", &user, "--operation", operation.as_str()]
                .map(str::to_owned)
                .into();
        words.extend(["--resource-pattern-type", pattern.as_str()].map(str::to_owned));
        let flags =
            rules.iter().flat_map(|rule| [rule.resource.flag().to_owned(), rule.name.clone()]);
        words.extend(flags);
        words
    };
    calls.into_iter().map(call).collect()
}

/// Lines for a shell: they add every rule, and may be run again.
pub fn commands() -> String {
    let mut text = String::from(
        "# KAFKA_BOOTSTRAP: where Kafka listens. KAFKA_ADMIN_CONFIG: a file with the login of a \
         super user.\n",
    );
    for principal in principals() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n# {}: {}", principal.name, principal.what.replace('`', ""));
        for words in arguments(&principal) {
            let _ = writeln!(
                text,
                "kafka-acls.sh --bootstrap-server \"$KAFKA_BOOTSTRAP\" --command-config \
                 \"$KAFKA_ADMIN_CONFIG\" {}",
                words.join(" ")
            );
        }
    }
    text
}

/// A `KafkaUser` of Strimzi for each principal, with a SCRAM password that Strimzi makes.
pub fn strimzi() -> String {
    let users = principals();
    let users = users.iter().map(kafka_user).collect::<Vec<_>>();
    let head = "# Set the label to the name of your Kafka. Strimzi before 0.49: v1beta2.\n";
    head.to_owned() + &users.join("---\n")
}

fn kafka_user(principal: &Principal) -> String {
    let mut text = format!(
        "# {}\napiVersion: kafka.strimzi.io/v1\nkind: KafkaUser\nmetadata:\n  name: {}\n  \
         labels:\n    strimzi.io/cluster: murmuration\nspec:\n  \
         authentication:\n    type: scram-sha-512\n  \
         authorization:\n    type: simple\n    acls:\n",
        principal.what, principal.name
    );
    let mut grants: BTreeMap<(Resource, &str, Pattern), Vec<Operation>> = BTreeMap::new();
    for rule in &principal.rules {
        let about = (rule.resource, rule.name.as_str(), rule.pattern);
        grants.entry(about).or_default().push(rule.operation);
    }
    for ((resource, name, pattern), operations) in grants {
        let operations: Vec<_> = operations.into_iter().map(Operation::as_str).collect();
        let (kind, pattern) = (resource.kind(), pattern.as_str());
        let _ = writeln!(
            text,
            "      - resource: {{type: {kind}, name: \"{name}\", patternType: {pattern}}}\n        \
             operations: [{}]",
            operations.join(", ")
        );
    }
    text
}
