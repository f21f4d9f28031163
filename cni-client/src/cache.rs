use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{Attachment, Config, Error, NetworkList, Result};

/// The file that keeps one attachment's result between `ADD` and `DEL`, in the form other CNI runtimes read.
#[derive(Debug)]
pub(crate) struct Entry {
    path: PathBuf,
}

impl Entry {
    pub(crate) fn of(config: &Config, network: &NetworkList, attachment: &Attachment) -> Self {
        let name = format!("{}-{}-{}", network.name, attachment.container_id, attachment.ifname);
        Self { path: config.cache_dir.join("results").join(name) }
    }

    /// Writes the entry whole or not at all.
    pub(crate) async fn write(
        &self,
        network: &NetworkList,
        attachment: &Attachment,
        result: &Value,
    ) -> Result<()> {
        use base64::Engine;
        let config = base64::engine::general_purpose::STANDARD.encode(network.to_json().to_string());
        let args: Vec<_> = attachment.args.iter().map(|(key, value)| [key, value]).collect();
        let entry = json!({
            "kind": "cniCacheV1", "containerId": attachment.container_id, "config": config, "ifName": attachment.ifname,
            "networkName": network.name, "netns": attachment.netns, "cniArgs": args,
            "capabilityArgs": attachment.capability_args, "result": result,
        });
        let fresh = self.path.with_extension("tmp");
        let written = async {
            tokio::fs::create_dir_all(self.path.parent().unwrap_or(&self.path)).await?;
            tokio::fs::write(&fresh, entry.to_string()).await?;
            tokio::fs::rename(&fresh, &self.path).await
        };
        written.await.map_err(Error::io(format!("caching the result in {}", self.path.display())))
    }

    /// The result kept, if there is one that can be read.
    pub(crate) async fn read(&self) -> Option<Value> {
        let json = tokio::fs::read(&self.path).await.ok()?;
        let mut entry: Value = serde_json::from_slice(&json).ok()?;
        entry.get_mut("result").map(Value::take)
    }

    pub(crate) async fn remove(&self) -> Result<()> {
        match tokio::fs::remove_file(&self.path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format!("removing {}", self.path.display()))(error))
            }
            _ => Ok(()),
        }
    }
}
