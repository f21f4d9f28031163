//! A pod as the scheduler sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodSpec, Toleration};

use crate::Error;
use crate::resources::{Amounts, Resources, effective_requests, nonzero_requests};
use crate::terms::PodTerms;

/// A pod in parsed form: what decisions read, computed once when the object arrives.
#[derive(Clone)]
pub struct PodInfo {
    /// `namespace/name`.
    pub key: Arc<str>,
    /// The object's UID; tells a pod from its successor of the same name.
    pub uid: Arc<str>,
    /// The node it is bound to, if any.
    pub node_name: Option<Arc<str>>,
    /// Its priority; higher goes first and may preempt lower.
    pub priority: i32,
    /// When it was created.
    pub created: Timestamp,
    /// What it asks for, as filters count it; `pods` is always one.
    pub requests: Resources,
    /// What scoring assumes it uses: as `requests`, with defaults for containers that name no CPU or memory.
    pub nonzero: Amounts,
    /// The host ports it wants.
    pub host_ports: Vec<HostPort>,
    /// The images of its containers, with `:latest` added where there is no tag.
    pub images: Vec<Arc<str>>,
    /// What it demands of the pods around it, if anything.
    pub terms: Option<Arc<PodTerms>>,
    /// The object itself, for plugins that need more.
    pub object: Arc<Pod>,
    /// Its specification without the volume of API credentials, which admission names at random; only for a pod that waits
    /// and has one. Without it no two pods of a workload were alike.
    pub template: Option<Arc<PodSpec>>,
}

/// A port on the node's own addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
    /// The address; `0.0.0.0` means all.
    pub ip: Arc<str>,
    /// The port number.
    pub port: i32,
}

impl HostPort {
    /// Whether both cannot be open on one node.
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        const ANY: &str = "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || &*self.ip == ANY || &*other.ip == ANY)
    }
}

impl fmt::Debug for PodInfo {
    /// Which pod it is and where; the object may be pages long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pod = f.debug_struct("PodInfo");
        pod.field("key", &self.key).field("uid", &self.uid).field("node_name", &self.node_name);
        pod.field("priority", &self.priority).field("requests", &self.requests).finish_non_exhaustive()
    }
}

impl PodInfo {
    /// Parses a pod.
    ///
    /// # Errors
    /// [`Error::Quantity`] when one of its quantities is malformed.
    pub fn parse(object: impl Into<Arc<Pod>>) -> Result<Self, Error> {
        let object = object.into();
        let mut requests = effective_requests(&object)?;
        requests.base.pods = 1;
        requests.extended.retain(|(_, amount)| *amount != 0);
        let metadata = &object.metadata;
        let spec = object.spec.as_ref();
        let namespace = metadata.namespace.as_deref().unwrap_or("default");
        Ok(Self {
            key: format!("{namespace}/{}", metadata.name.as_deref().unwrap_or_default()).into(),
            uid: metadata.uid.as_deref().unwrap_or_default().into(),
            node_name: spec.and_then(|s| s.node_name.as_deref()).filter(|n| !n.is_empty()).map(Into::into),
            priority: spec.and_then(|s| s.priority).unwrap_or_default(),
            created: metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0),
            requests,
            nonzero: nonzero_requests(&object)?.base,
            host_ports: spec.map(host_ports).unwrap_or_default(),
            images: spec.map(images).unwrap_or_default(),
            terms: PodTerms::parse(&object).map(Arc::new),
            template: spec.filter(|spec| spec.node_name.is_none()).and_then(template).map(Arc::new),
            object,
        })
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.key.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.key.split_once('/').map_or("", |(_, name)| name)
    }

    /// The pod's specification, if it has one.
    #[must_use]
    pub fn spec(&self) -> Option<&PodSpec> {
        self.object.spec.as_ref()
    }

    /// The pod's labels.
    #[must_use]
    pub fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.object.metadata.labels.as_ref()
    }

    /// The pod's tolerations.
    #[must_use]
    pub fn tolerations(&self) -> &[Toleration] {
        self.spec().and_then(|s| s.tolerations.as_deref()).unwrap_or_default()
    }

    /// The scheduler that is to place it.
    #[must_use]
    pub fn scheduler_name(&self) -> &str {
        self.spec().and_then(|s| s.scheduler_name.as_deref()).unwrap_or("default-scheduler")
    }

    /// The node that preemption made room on, if any.
    #[must_use]
    pub fn nominated_node(&self) -> Option<&str> {
        self.object.status.as_ref()?.nominated_node_name.as_deref().filter(|name| !name.is_empty())
    }

    /// Whether deletion has begun.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }

    /// Whether it has run to its end and holds no resources any more.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let phase = self.object.status.as_ref().and_then(|s| s.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    }

    /// Whether it is the same to the pods around it: placed where it was, asking for what it did, and at most its status tells of
    /// something else.
    pub(crate) fn asks_the_same(&self, later: &Self) -> bool {
        let (old, new) = (&self.object.metadata, &later.object.metadata);
        self.node_name == later.node_name
            && self.requests == later.requests
            && self.is_terminating() == later.is_terminating()
            && old.labels == new.labels
            && old.annotations == new.annotations
            && self.object.spec == later.object.spec
    }

    /// The same pod, bound to `node`.
    #[must_use]
    pub fn bound_to(&self, node: &Arc<str>) -> Self {
        Self { node_name: Some(Arc::clone(node)), template: None, ..self.clone() }
    }
}

/// The specification without the volume of API credentials; `None` if there is none.
fn template(spec: &PodSpec) -> Option<PodSpec> {
    let injected = |name: &str| name.starts_with("kube-api-access-");
    if !spec.volumes.iter().flatten().any(|volume| injected(&volume.name) && volume.projected.is_some()) {
        return None;
    }
    let mut template = spec.clone();
    template.volumes.iter_mut().for_each(|volumes| volumes.retain(|volume| !injected(&volume.name)));
    let init = template.init_containers.iter_mut().flatten();
    for container in template.containers.iter_mut().chain(init) {
        container.volume_mounts.iter_mut().for_each(|mounts| mounts.retain(|mount| !injected(&mount.name)));
    }
    Some(template)
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars =
        spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            Some(HostPort {
                port: port.host_port.filter(|port| *port > 0)?,
                protocol: port.protocol.as_deref().unwrap_or("TCP").into(),
                ip: port.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0").into(),
            })
        })
        .collect()
}

fn images(spec: &PodSpec) -> Vec<Arc<str>> {
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    containers.filter_map(|container| container.image.as_deref()).map(normalized_image).collect()
}

/// An image's name with `:latest` when it has no tag.
#[must_use]
pub(crate) fn normalized_image(name: &str) -> Arc<str> {
    if name.rfind(':') <= name.rfind('/') { format!("{name}:latest").into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_status_of_a_placed_pod_matters_to_others_only_by_what_it_asks_for() {
        let object = json!({"metadata": {"name": "p", "labels": {"a": "b"}}, "spec": {"nodeName": "n", "containers": [
            {"name": "c", "resources": {"requests": {"cpu": "1"}}}]}});
        let parse = |object| PodInfo::parse(from_value::<Pod>(object).unwrap()).unwrap();
        let old = parse(object.clone());
        for (pointer, value, same) in [
            ("/metadata/resourceVersion", json!("2"), true),
            ("/status/conditions", json!([{"type": "DisruptionTarget", "status": "True"}]), true),
            ("/metadata/labels", json!({"a": "c"}), false),
            ("/metadata/annotations", json!({"a": "c"}), false),
            ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"), false),
            ("/spec/nodeName", json!("m"), false),
            ("/spec/tolerations", json!([{"operator": "Exists"}]), false),
            (
                "/status/containerStatuses",
                json!([{"name": "c", "resources": {"requests": {"cpu": "2"}},
                "image": "i", "imageID": "i", "ready": true, "restartCount": 0}]),
                false,
            ),
        ] {
            let (mut later, path) =
                (object.clone(), pointer.trim_start_matches('/').split_once('/').unwrap());
            later[path.0][path.1] = value;
            assert_eq!(old.asks_the_same(&parse(later)), same, "{pointer}");
        }
    }
}
