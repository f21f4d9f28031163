//! A node as the scheduler sees it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Taint};

use crate::Error;
use crate::resources::Resources;
use crate::shared::Names;

/// A node in parsed form. Two nodes are equal when no decision could tell them apart, so a heartbeat changes nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeInfo {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints, in the object's order.
    pub taints: Vec<Taint>,
    /// What pods may use of it.
    pub allocatable: Resources,
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// Images present on it, under each of their names, with their size in bytes.
    pub images: BTreeMap<Arc<str>, i64>,
}

impl NodeInfo {
    /// Parses a node.
    ///
    /// # Errors
    /// [`Error::Quantity`] when an allocatable quantity is malformed.
    pub fn parse(node: &Node) -> Result<Self, Error> {
        Self::parse_among(node, &mut Names::default())
    }

    /// Parses a node, which has the names of its images in common with those parsed before.
    pub(crate) fn parse_among(node: &Node, names: &mut Names) -> Result<Self, Error> {
        let spec = node.spec.as_ref();
        let status = node.status.as_ref();
        let allocatable = status.and_then(|s| s.allocatable.as_ref()).map(Resources::parse).transpose()?;
        let images = status.and_then(|s| s.images.as_deref()).unwrap_or_default();
        Ok(Self {
            name: node.metadata.name.as_deref().unwrap_or_default().into(),
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: spec.and_then(|s| s.taints.clone()).unwrap_or_default(),
            allocatable: allocatable.unwrap_or_default(),
            unschedulable: spec.and_then(|s| s.unschedulable).unwrap_or_default(),
            images: images
                .iter()
                .flat_map(|image| {
                    let size = image.size_bytes.unwrap_or_default();
                    image.names.iter().flatten().map(move |name| (name, size))
                })
                .map(|(name, size)| (names.share(&normalized_image(name)), size))
                .collect(),
        })
    }
}

/// An image's name with `:latest` when it has no tag.
#[must_use]
pub(crate) fn normalized_image(name: &str) -> Cow<'_, str> {
    if name.rfind(':') <= name.rfind('/') { format!("{name}:latest").into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn an_image_has_one_name_on_all_nodes() {
        let mut names = Names::default();
        let mut image = |name: &str| {
            let node = json!({"status": {"images": [{"names": [name], "sizeBytes": 7}]}});
            let node = NodeInfo::parse_among(&from_value(node).unwrap(), &mut names).unwrap();
            node.images.into_iter().next().unwrap()
        };
        let (one, other) = (image("registry:5000/web"), image("registry:5000/web:latest"));
        assert_eq!(one, ("registry:5000/web:latest".into(), 7));
        assert!(Arc::ptr_eq(&one.0, &other.0));
    }
}
