//! From the extenders of a document to the driver's.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::document::{ExtenderSection, PluginConfigSection, ProfileSection, TlsSection};
use crate::plugins::NodeResourcesFit;
use crate::{ExtenderConfig, ExtenderTls};

impl ExtenderSection {
    /// The resources that only the extender looks after.
    pub(super) fn ignored_resources(&self) -> impl Iterator<Item = String> {
        let ignored = self.managed_resources.iter().filter(|resource| resource.ignored_by_scheduler);
        ignored.map(|resource| resource.name.clone())
    }
}

impl ProfileSection {
    /// Adds resources to those that `NodeResourcesFit` ignores.
    pub(super) fn ignore(&mut self, resources: &[String]) {
        if resources.is_empty() {
            return;
        }
        let name = NodeResourcesFit::NAME;
        if !self.plugin_config.iter().any(|config| config.name == name) {
            self.plugin_config.push(PluginConfigSection { name: name.to_owned(), args: json!({}) });
        }
        let config = self.plugin_config.iter_mut().find(|config| config.name == name);
        let Some(config) = config else { return };
        if config.args.is_null() {
            config.args = json!({});
        }
        let Some(fields) = config.args.as_object_mut() else { return };
        let ignored = fields.entry("ignoredResources").or_insert_with(|| json!([]));
        if let Some(ignored) = ignored.as_array_mut() {
            let names = resources.iter().cloned().map(Value::from);
            names.for_each(|name| {
                if !ignored.contains(&name) {
                    ignored.push(name)
                }
            });
        }
    }
}

impl From<ExtenderSection> for ExtenderConfig {
    fn from(section: ExtenderSection) -> Self {
        let default = Self::default();
        let timeout = Some(section.http_timeout.unsigned_abs());
        Self {
            url_prefix: section.url_prefix,
            filter_verb: section.filter_verb,
            prioritize_verb: section.prioritize_verb,
            preempt_verb: section.preempt_verb,
            bind_verb: section.bind_verb,
            weight: section.weight,
            http_timeout: timeout.filter(|timeout| *timeout > Duration::ZERO).unwrap_or(default.http_timeout),
            node_cache_capable: section.node_cache_capable,
            managed_resources: section.managed_resources.into_iter().map(|resource| resource.name).collect(),
            ignorable: section.ignorable,
            tls: section.tls_config.map(Into::into),
        }
    }
}

impl From<TlsSection> for ExtenderTls {
    fn from(section: TlsSection) -> Self {
        let text = |text: String| Some(text).filter(|text| !text.is_empty());
        let file = |path: String| text(path).map(PathBuf::from);
        Self {
            insecure: section.insecure,
            server_name: text(section.server_name),
            cert_file: file(section.cert_file),
            key_file: file(section.key_file),
            ca_file: file(section.ca_file),
            cert_data: text(section.cert_data),
            key_data: text(section.key_data),
            ca_data: text(section.ca_data),
        }
    }
}
