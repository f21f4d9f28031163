//! A node as the scheduler sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Taint};

use crate::Error;
use crate::resources::Resources;

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
                    image.names.iter().flatten().map(move |name| (normalized_image(name), size))
                })
                .collect(),
        })
    }
}

/// An image's name with `:latest` when it has no tag.
#[must_use]
pub(crate) fn normalized_image(name: &str) -> Arc<str> {
    if name.rfind(':') <= name.rfind('/') { format!("{name}:latest").into() } else { name.into() }
}
