//! A pod as the scheduler sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::Error;
use crate::phase::Phase;
use crate::resources::{Amounts, Resources, effective_requests, nonzero_requests};
use crate::shared::{PodTemplate, Templates, remove_credentials};
use crate::terms::PodTerms;

/// A pod in parsed form: what decisions read, computed once when the object arrives.
///
/// It holds what is its own. The rest, which is most of it, is its [template](PodTemplate) and shared with the pods that are
/// alike, if the [`Scheduler`](crate::Scheduler) or [`Snapshot::from_objects`](crate::Snapshot::from_objects) has read them.
#[derive(Clone)]
pub struct PodInfo {
    /// `namespace/name`.
    pub key: Arc<str>,
    /// The object's UID; tells a pod from its successor of the same name.
    pub uid: Arc<str>,
    /// The version of the object.
    pub version: Option<Arc<str>>,
    /// Counts the changes of its specification.
    pub generation: Option<i64>,
    /// The node it is bound to, if any.
    pub node_name: Option<Arc<str>>,
    /// Its priority; higher goes first and may preempt lower.
    pub priority: i32,
    /// How far it has come.
    pub phase: Phase,
    /// When it was created.
    pub created: Timestamp,
    /// When its node took it in, if it did.
    pub started: Option<Timestamp>,
    /// When it is to be gone, if deletion has begun.
    pub deleted: Option<Timestamp>,
    /// What it asks for, as filters count it; `pods` is always one.
    pub requests: Resources,
    /// What scoring assumes it uses: as `requests`, with defaults for containers that name no CPU or memory.
    pub nonzero: Amounts,
    /// The rest of its status, as far as scheduling is concerned: the nominated node, the claims made for it, and the conditions
    /// that it has found no place (`PodScheduled`) and that it makes room (`DisruptionTarget`). Most pods have none of these.
    pub status: Option<Arc<PodStatus>>,
    /// Its annotations.
    pub annotations: Option<Arc<BTreeMap<String, String>>>,
    /// The rest of the object.
    pub template: Arc<PodTemplate>,
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
    pub fn parse(object: Pod) -> Result<Self, Error> {
        Self::parse_among(object, &mut Templates::default())
    }

    /// Parses a pod, which has its template in common with those parsed before that are alike.
    pub(crate) fn parse_among(mut object: Pod, templates: &mut Templates) -> Result<Self, Error> {
        let mut requests = effective_requests(&object)?;
        let nonzero = nonzero_requests(&object)?.base;
        requests.base.pods = 1;
        requests.extended.retain(|(_, amount)| *amount != 0);
        let metadata = &mut object.metadata;
        metadata.managed_fields = None;
        let (name, namespace) = (metadata.name.take(), metadata.namespace.as_deref().unwrap_or("default"));
        let key = format!("{namespace}/{}", name.unwrap_or_default()).into();
        let uid = metadata.uid.take().unwrap_or_default().into();
        let version = metadata.resource_version.take().map(Into::into);
        let generation = metadata.generation.take();
        let created = metadata.creation_timestamp.take().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let deleted = metadata.deletion_timestamp.take().map(|time| time.0);
        metadata.deletion_grace_period_seconds = None;
        let annotations = metadata.annotations.take();
        let status = object.status.take().unwrap_or_default();
        let mut spec = object.spec.as_mut();
        let node_name = spec.as_mut().and_then(|spec| spec.node_name.take());
        let priority = spec.as_ref().and_then(|spec| spec.priority).unwrap_or_default();
        spec.map(remove_credentials);
        let (template, annotations) = templates.share(object, annotations);
        Ok(Self {
            key,
            uid,
            version,
            generation,
            node_name: node_name.filter(|name| !name.is_empty()).map(Into::into),
            priority,
            phase: status.phase.as_deref().map(Phase::parse).unwrap_or_default(),
            created,
            started: status.start_time.as_ref().map(|time| time.0),
            deleted,
            requests,
            nonzero,
            status: concerning(status).map(Arc::new),
            annotations,
            template,
        })
    }

    /// The object again, for others: without the managed fields and the volume of API credentials, and with no more of its status
    /// than is known here.
    #[must_use]
    pub fn to_object(&self) -> Pod {
        let mut metadata = self.template.metadata.clone();
        metadata.name = Some(self.name().to_owned());
        metadata.uid = Some(self.uid.to_string()).filter(|uid| !uid.is_empty());
        metadata.resource_version = self.version.as_deref().map(str::to_owned);
        metadata.generation = self.generation;
        metadata.creation_timestamp =
            Some(self.created).filter(|time| *time != Timestamp::UNIX_EPOCH).map(Time);
        metadata.deletion_timestamp = self.deleted.map(Time);
        metadata.annotations = self.annotations.as_deref().cloned();
        let mut spec = self.template.spec.clone();
        if let Some(node) = &self.node_name {
            spec.get_or_insert_default().node_name = Some(node.to_string());
        }
        let mut status = self.status.as_deref().cloned().unwrap_or_default();
        status.phase = Some(self.phase.name().to_owned());
        status.start_time = self.started.map(Time);
        Pod { metadata, spec, status: Some(status) }
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
        self.template.spec.as_ref()
    }

    /// The pod's labels.
    #[must_use]
    pub fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.template.metadata.labels.as_ref()
    }

    /// What the pod demands of the pods around it, if anything.
    #[must_use]
    pub fn terms(&self) -> Option<&PodTerms> {
        self.template.terms.as_ref()
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
        self.status.as_ref()?.nominated_node_name.as_deref().filter(|name| !name.is_empty())
    }

    /// Whether deletion has begun.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        self.deleted.is_some()
    }

    /// Whether it has run to its end and holds no resources any more.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Whether it is the same to the pods around it: placed where it was, asking for what it did, and at most its status tells of
    /// something else.
    pub(crate) fn asks_the_same(&self, later: &Self) -> bool {
        self.node_name == later.node_name
            && self.requests == later.requests
            && self.is_terminating() == later.is_terminating()
            && self.is_like(later)
    }

    /// Whether two pods have the same template and the same annotations.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.annotations == other.annotations
            && (Arc::ptr_eq(&self.template, &other.template) || self.template == other.template)
    }

    /// The same pod, bound to `node`.
    #[must_use]
    pub fn bound_to(&self, node: &Arc<str>) -> Self {
        Self { node_name: Some(Arc::clone(node)), ..self.clone() }
    }

    /// The same pod, with a node on which preemption makes room for it.
    #[must_use]
    pub fn nominated_to(&self, node: &str) -> Self {
        let mut status = self.status.as_deref().cloned().unwrap_or_default();
        status.nominated_node_name = Some(node.to_owned());
        Self { status: Some(Arc::new(status)), ..self.clone() }
    }
}

/// What of a status is read while a pod waits or makes room; `None` if there is nothing of that.
fn concerning(status: PodStatus) -> Option<PodStatus> {
    let PodStatus { conditions, nominated_node_name, resource_claim_statuses, .. } = status;
    let mut conditions = conditions.unwrap_or_default();
    conditions.retain(|condition| match condition.type_.as_str() {
        "PodScheduled" => condition.status != "True",
        other => other == "DisruptionTarget",
    });
    conditions.shrink_to_fit();
    let conditions = Some(conditions).filter(|conditions| !conditions.is_empty());
    let anything = conditions.is_some() || nominated_node_name.is_some() || resource_claim_statuses.is_some();
    anything.then(|| PodStatus {
        conditions,
        nominated_node_name,
        resource_claim_statuses,
        ..PodStatus::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    /// There is one for each pod, and a second one while it is on its way.
    #[test]
    fn what_is_a_pods_own_is_small() {
        assert!(size_of::<PodInfo>() <= 320, "{} bytes", size_of::<PodInfo>());
    }

    #[test]
    fn the_object_is_made_again() {
        let volume = json!({"name": "kube-api-access-abcde", "projected": {"sources": []}});
        let claim = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data"}});
        let object = |volumes: &[&serde_json::Value], managed: Option<&str>, status: serde_json::Value| {
            let managed = managed.map(|who| json!([{"manager": who}]));
            json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "7", "generation": 2,
                    "generateName": "p-", "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z",
                    "labels": {"app": "web"}, "annotations": {"a": "b"}, "finalizers": ["f"], "managedFields": managed,
                    "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "o", "uid": "o"}]},
                "spec": {"nodeName": "n", "volumes": volumes, "containers": [{"name": "c", "image": "i", "command": ["x"]}]},
                "status": status})
        };
        let conditions = json!([{"type": "DisruptionTarget", "status": "True", "reason": "r"}]);
        let mut more = conditions.clone();
        more.as_array_mut().unwrap().push(json!({"type": "Ready", "status": "True"}));
        let parse = |object| from_value::<Pod>(object).unwrap();
        let (phase, time) = ("Running", "2026-01-01T00:00:01Z");
        let arrived = json!({"phase": phase, "startTime": time, "conditions": more, "podIP": "10.0.0.1"});
        let known = json!({"phase": phase, "startTime": time, "conditions": conditions});
        let pod = PodInfo::parse(parse(object(&[&volume, &claim], Some("kubelet"), arrived))).unwrap();
        assert_eq!(pod.to_object(), parse(object(&[&claim], None, known)));
    }

    #[test]
    fn of_a_status_only_what_concerns_scheduling_is_kept() {
        let kept = |status| {
            let pod = json!({"metadata": {"name": "p"}, "status": status});
            PodInfo::parse(from_value::<Pod>(pod).unwrap()).unwrap().status
        };
        let scheduled = |status: &str| json!({"conditions": [{"type": "PodScheduled", "status": status}]});
        assert_eq!(
            kept(json!({"phase": "Running", "podIP": "10.0.0.1", "startTime": "2026-01-01T00:00:00Z"})),
            None
        );
        assert_eq!(kept(scheduled("True")), None);
        assert!(kept(scheduled("False")).is_some());
        assert_eq!(
            kept(json!({"nominatedNodeName": "n"})).unwrap().nominated_node_name.as_deref(),
            Some("n")
        );
        let claims = json!({"resourceClaimStatuses": [{"name": "c", "resourceClaimName": "d"}]});
        let kept = kept(claims).unwrap();
        assert_eq!(kept.resource_claim_statuses.as_ref().map(Vec::len), Some(1));
    }

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
