//! A cluster as `kubectl get nodes,pods -A -o json` prints it.

use std::io::Read;
use std::path::Path;

use examples::Failure;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube_sched::framework::Profile;
use serde_json::{Value, from_value};

/// The plugins that judge by objects which such a dump does not have. They would find every claim missing.
const BLIND: [&str; 5] =
    ["VolumeBinding", "VolumeRestrictions", "VolumeZone", "NodeVolumeLimits", "DynamicResources"];

/// The default profile without plugins that cannot judge by nodes and pods alone.
pub(crate) fn profile() -> Profile {
    let mut profile = Profile::default();
    profile.plugins.retain(|enabled| !BLIND.contains(&enabled.plugin.name()));
    profile
}

/// Nodes and pods.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    /// The nodes.
    pub(crate) nodes: Vec<Node>,
    /// The pods of all namespaces.
    pub(crate) pods: Vec<Pod>,
}

impl Dump {
    /// Reads a file, or standard input if it is `-`.
    ///
    /// # Errors
    /// If it cannot be read, is no list or has a malformed object.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let mut text = String::new();
        if path == Path::new("-") {
            std::io::stdin().read_to_string(&mut text)?;
        } else {
            text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Self::parse(&text)
    }

    /// Reads a list of objects; other kinds than nodes and pods are passed over.
    ///
    /// # Errors
    /// If it is no list or has a malformed object.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let list: Value = serde_json::from_str(text)?;
        let items = list.get("items").and_then(Value::as_array).ok_or("not a list of objects")?;
        let mut dump = Self::default();
        for item in items {
            match item.get("kind").and_then(Value::as_str) {
                Some("Node") => dump.nodes.push(from_value(item.clone())?),
                Some("Pod") => dump.pods.push(from_value(item.clone())?),
                _ => {}
            }
        }
        Ok(dump)
    }
}

/// A small cluster: a tainted node of the control plane, two workers, and pods of every sort.
#[cfg(test)]
pub(crate) const SAMPLE: &str = include_str!("sample.json");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_pods_are_told_apart() {
        let text = r#"{"kind": "List", "items": [
            {"kind": "Node", "metadata": {"name": "n"}}, {"kind": "Pod", "metadata": {"name": "p"}}, {"kind": "Secret"}]}"#;
        let dump = Dump::parse(text).unwrap();
        assert_eq!(dump.nodes[0].metadata.name.as_deref(), Some("n"));
        assert_eq!(dump.pods[0].metadata.name.as_deref(), Some("p"));
        assert!(Dump::parse("{}").is_err());
    }
}
