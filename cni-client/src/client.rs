use serde_json::{Value, json};

use crate::cache::Entry;
use crate::exec::Run;
use crate::{AddResult, Attachment, Config, Error, NetworkList, Result};

/// Runs the operations of the specification over whole configuration lists.
///
/// Operations on one attachment must not overlap; different attachments may run side by side, and plugins that share state
/// (such as address leases) lock it themselves.
#[derive(Clone, Debug, Default)]
pub struct Client {
    config: Config,
}

impl Client {
    /// A client that finds plugins and keeps results where `config` says.
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// Attaches a container: runs the chain in order, each plugin with the result of the one before, and keeps the last result
    /// for `CHECK` and `DEL`.
    ///
    /// If a plugin fails, what the others made is taken back (`DEL` over the whole list) before the error is returned.
    ///
    /// # Errors
    /// Any; see [`Error`].
    pub async fn add(&self, network: &NetworkList, attachment: &Attachment) -> Result<AddResult> {
        attachment.validate()?;
        match self.try_add(network, attachment).await {
            Ok(result) => Ok(result),
            Err(error) => {
                if let Err(left) = self.del(network, attachment).await {
                    tracing::warn!(network = network.name, container = attachment.container_id, %left, "taking back a failed ADD");
                }
                Err(error)
            }
        }
    }

    async fn try_add(&self, network: &NetworkList, attachment: &Attachment) -> Result<AddResult> {
        let mut result = None;
        for plugin in &network.plugins {
            let request = plugin.request(network, Some(attachment), result.as_ref());
            result = Some(self.run(&plugin.kind, "ADD", Some(attachment), &request).await?);
        }
        let result = result.unwrap_or_default();
        let parsed = serde_json::from_value(result.clone()).map_err(|e| Error::Invalid {
            message: format!("the result of network {} is malformed: {e}", network.name),
        })?;
        Entry::of(&self.config, network, attachment).write(network, attachment, &result).await?;
        Ok(parsed)
    }

    /// Detaches a container: runs the chain in reverse order with the cached result. Repeating it, or detaching what was never
    /// attached, is no error.
    ///
    /// # Errors
    /// The first plugin's that fails; the plugins before it in the list have not run then, and `DEL` can be repeated.
    pub async fn del(&self, network: &NetworkList, attachment: &Attachment) -> Result<()> {
        attachment.validate()?;
        let entry = Entry::of(&self.config, network, attachment);
        let previous = if network.at_least("0.4.0") { entry.read().await } else { None };
        for plugin in network.plugins.iter().rev() {
            let request = plugin.request(network, Some(attachment), previous.as_ref());
            self.run(&plugin.kind, "DEL", Some(attachment), &request).await?;
        }
        entry.remove().await
    }

    /// Asks every plugin whether the attachment is as its `ADD` left it. Does nothing for lists that disable it and for versions
    /// before 0.4.0, which have no `CHECK`.
    ///
    /// # Errors
    /// [`Error::NotAttached`] without a cached result; [`Error::Plugin`] from a plugin that finds a difference.
    pub async fn check(&self, network: &NetworkList, attachment: &Attachment) -> Result<()> {
        attachment.validate()?;
        if network.disable_check || !network.at_least("0.4.0") {
            return Ok(());
        }
        let cached = Entry::of(&self.config, network, attachment).read().await;
        let previous = cached.ok_or_else(|| Error::NotAttached {
            network: network.name.clone(),
            container_id: attachment.container_id.clone(),
        })?;
        for plugin in &network.plugins {
            let request = plugin.request(network, Some(attachment), Some(&previous));
            self.run(&plugin.kind, "CHECK", Some(attachment), &request).await?;
        }
        Ok(())
    }

    /// Asks every plugin whether it could serve an `ADD` now. Does nothing before version 1.1.0, which added `STATUS`.
    ///
    /// # Errors
    /// [`Error::Plugin`] from a plugin that could not.
    pub async fn status(&self, network: &NetworkList) -> Result<()> {
        self.each(network, "STATUS", None).await
    }

    /// Has every plugin free what belongs to attachments other than `valid`. Does nothing before version 1.1.0, which added `GC`, and
    /// for lists that disable it.
    ///
    /// # Errors
    /// The first plugin's that fails.
    pub async fn gc(&self, network: &NetworkList, valid: &[Attachment]) -> Result<()> {
        let keep = |a: &Attachment| json!({"containerID": a.container_id, "ifname": a.ifname});
        let valid = Value::Array(valid.iter().map(keep).collect());
        if network.disable_gc {
            Ok(())
        } else {
            self.each(network, "GC", Some(("cni.dev/valid-attachments", valid))).await
        }
    }

    async fn each(
        &self,
        network: &NetworkList,
        command: &'static str,
        extra: Option<(&str, Value)>,
    ) -> Result<()> {
        if !network.at_least("1.1.0") {
            return Ok(());
        }
        for plugin in &network.plugins {
            let mut request = plugin.request(network, None, None);
            if let (Some((key, value)), Some(request)) = (&extra, request.as_object_mut()) {
                request.insert((*key).into(), value.clone());
            }
            self.run(&plugin.kind, command, None, &request).await?;
        }
        Ok(())
    }

    /// The protocol versions a plugin supports.
    ///
    /// # Errors
    /// [`Error::PluginMissing`] or [`Error::PluginBroken`].
    pub async fn version(&self, plugin: &str) -> Result<Vec<String>> {
        let answer = self.run(plugin, "VERSION", None, &json!({"cniVersion": "1.0.0"})).await?;
        let supported =
            answer.get("supportedVersions").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(supported.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    async fn run(
        &self,
        plugin: &str,
        command: &'static str,
        attachment: Option<&Attachment>,
        request: &Value,
    ) -> Result<Value> {
        Run { config: &self.config, plugin, command, attachment }.call(request).await
    }
}
