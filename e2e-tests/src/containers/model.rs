//! [`Model`]: docker-compose.yml as Compose understands it, with what a test wants otherwise.
//!
//! The file is the only place that says how a process runs as a container: its image, settings,
//! health check. A test changes what `docker compose config` makes of it, and Compose runs the
//! result.

use anyhow::{Context, Result, ensure};
use client::SERVICES;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// The services of a Compose project, resolved: no variables, no relative paths.
#[derive(Clone, Debug)]
pub struct Model(Value);

impl Model {
    /// Resolve `file` for `project`, with its ports moved: `ORDERS_PORT` and the like.
    ///
    /// # Errors
    /// When Compose is missing, or does not understand the file.
    pub async fn resolve(
        file: &Path,
        project: &str,
        ports: &BTreeMap<String, u16>,
    ) -> Result<Self> {
        let output =
            tokio::process::Command::new("docker")
                .args(["compose", "--project-name", project, "--file"])
                .arg(file)
                .args(["config", "--format", "json"])
                .envs(ports.iter().map(|(name, port)| {
                    (format!("{}_PORT", name.to_uppercase()), port.to_string())
                }))
                .output()
                .await
                .context("cannot run `docker`")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "docker compose config: {}", said.trim());
        let mut model = Self(serde_json::from_slice(&output.stdout)?);
        for service in model.services_mut()?.values_mut() {
            // An image that is missing shall be named, not built in the middle of a test.
            service.as_object_mut().context("a service is an object")?.remove("build");
        }
        Ok(model)
    }

    /// The images that the services run from.
    #[must_use]
    pub fn images(&self) -> BTreeSet<String> {
        let services = self.0["services"].as_object().into_iter().flatten();
        services.filter_map(|(_, service)| service["image"].as_str().map(str::to_owned)).collect()
    }

    /// Leave out the shop's own services, the bank, and the jobs that need one of them. What
    /// depends on one that is left out depends on what that one depended on.
    ///
    /// # Errors
    /// When the model has no services.
    pub fn servers_only(&mut self) -> Result<()> {
        let services = self.services_mut()?;
        let needs = |service: &Value, names: &[&str]| {
            let mut needed = service["depends_on"].as_object().into_iter().flatten();
            needed.any(|(needed, _)| names.contains(&needed.as_str()))
        };
        let left_out = |(name, service): &(&String, &Value)| {
            name.as_str() == "bank"
                || SERVICES.contains(&name.as_str())
                || needs(service, &SERVICES)
        };
        let gone: Vec<String> =
            services.iter().filter(left_out).map(|(name, _)| name.clone()).collect();
        for name in gone {
            let Some(service) = services.remove(&name) else { continue };
            let needed = service["depends_on"].as_object().cloned().unwrap_or_default();
            for dependent in services.values_mut() {
                let depends = dependent.get_mut("depends_on").and_then(Value::as_object_mut);
                let Some(depends) = depends else { continue };
                if depends.remove(&name).is_some() {
                    depends.extend(needed.clone());
                }
            }
        }
        Ok(())
    }

    /// Give a service a variable, on top of its own.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn set_env(&mut self, service: &str, key: &str, value: &str) -> Result<()> {
        let service = self.service_mut(service)?;
        if !service["environment"].is_object() {
            service["environment"] = json!({});
        }
        service["environment"][key] = json!(value);
        Ok(())
    }

    /// Add `name`, a further instance of `service`: with its own number, state and port.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn add_instance(
        &mut self,
        service: &str,
        name: &str,
        number: u16,
        port: u16,
    ) -> Result<()> {
        let mut instance = self.service_mut(service)?.clone();
        for published in list_mut(&mut instance, "ports") {
            published["published"] = json!(port.to_string());
        }
        let mut volumes = Map::new();
        for volume in list_mut(&mut instance, "volumes") {
            if volume["type"] == "volume" {
                volume["source"] = json!(name);
                volumes.insert(name.to_owned(), json!({}));
            }
        }
        if let Some(all) = self.0.get_mut("volumes").and_then(Value::as_object_mut) {
            all.extend(volumes);
        }
        self.services_mut()?.insert(name.to_owned(), instance);
        self.set_env(name, "INSTANCE", &number.to_string())
    }

    /// Write it for Compose.
    ///
    /// # Errors
    /// When the folder is not writable.
    pub fn write(&self, path: &Path) -> Result<()> {
        // JSON is YAML.
        Ok(std::fs::write(path, serde_json::to_vec_pretty(&self.0)?)?)
    }

    fn services_mut(&mut self) -> Result<&mut Map<String, Value>> {
        let services = self.0.get_mut("services").and_then(Value::as_object_mut);
        services.context("the model has services")
    }

    fn service_mut(&mut self, name: &str) -> Result<&mut Value> {
        let service = self.services_mut()?.get_mut(name);
        service.with_context(|| format!("docker-compose.yml has no service `{name}`"))
    }
}

/// The elements of a list in `value`; none when there is no such list.
fn list_mut<'a>(value: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let done = json!({ "condition": "service_completed_successfully" });
        let healthy = json!({ "condition": "service_healthy" });
        Model(json!({
            "services": {
                "kafka": { "image": "kafka:1" },
                "topics": { "image": "shop:1", "depends_on": { "kafka": healthy } },
                "inventory": {
                    "image": "inventory:1",
                    "depends_on": { "topics": done },
                    "environment": { "RUST_LOG": "info" },
                    "ports": [{ "target": 8080, "published": "8081" }],
                    "volumes": [{ "type": "volume", "source": "inventory", "target": "/state" }],
                },
                "stock": { "image": "shop:1", "depends_on": { "inventory": healthy } },
                "caretaker": { "image": "shop:1", "depends_on": { "stock": done } },
                "bank": { "image": "bank:1" },
            },
            "volumes": { "inventory": {} },
        }))
    }

    #[test]
    fn without_services_a_job_waits_for_what_they_waited_for() {
        let mut model = model();
        model.servers_only().unwrap();
        let services = model.0["services"].as_object().unwrap();
        assert_eq!(services.keys().collect::<Vec<_>>(), ["caretaker", "kafka", "topics"]);
        let depends = services["caretaker"]["depends_on"].as_object().unwrap();
        assert_eq!(depends.keys().collect::<Vec<_>>(), ["topics"]);
        assert_eq!(model.images().into_iter().collect::<Vec<_>>(), ["kafka:1", "shop:1"]);
    }

    #[test]
    fn a_further_instance_shares_neither_number_nor_port_nor_state() {
        let mut model = model();
        model.add_instance("inventory", "inventory-1", 1, 20_013).unwrap();
        let instance = &model.0["services"]["inventory-1"];
        assert_eq!(instance["environment"], json!({ "INSTANCE": "1", "RUST_LOG": "info" }));
        assert_eq!(instance["ports"][0]["published"], "20013");
        assert_eq!(instance["volumes"][0]["source"], "inventory-1");
        assert!(model.0["volumes"]["inventory-1"].is_object());
        assert_eq!(model.0["services"]["inventory"]["ports"][0]["published"], "8081");
        let unknown = model.add_instance("nobody", "nobody-1", 1, 1).unwrap_err();
        assert!(unknown.to_string().contains("nobody"));
    }

    #[test]
    fn a_variable_of_a_test_is_on_top_of_the_file_s() {
        let mut model = model();
        model.set_env("inventory", "RUST_LOG", "debug").unwrap();
        model.set_env("bank", "BANK_LATENCY_MS", "5").unwrap();
        assert_eq!(model.0["services"]["inventory"]["environment"]["RUST_LOG"], "debug");
        assert_eq!(model.0["services"]["bank"]["environment"]["BANK_LATENCY_MS"], "5");
    }
}
