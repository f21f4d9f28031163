//! Our snapshot of a cluster, read from its API, and what the library decides on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use examples::Failure;
use fastrand::Rng;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube_sched::framework::{Cycle, Profile, Registry};
use kube_sched::snapshot::{Budget, SelectingKind};
use kube_sched::{NodeInfo, PodInfo, Settings, Snapshot, schedule};
use serde_json::{Value, from_value, json};

use super::side::Objects;
use super::world::World;

/// What the library says of a pod.
#[derive(Debug, Default)]
pub(super) struct Advice {
    /// The weighted score of each plugin for each node, by plugin and node.
    pub(super) scores: BTreeMap<(String, String), i64>,
    /// The nodes that are as good as any.
    pub(super) best: Vec<String>,
    /// All feasible nodes.
    pub(super) feasible: Vec<String>,
    /// For each way to make room that costs as little as any: the node and the pods that go.
    pub(super) ways: Vec<(String, Vec<String>)>,
}

/// The profile of a world, as our scheduler reads it.
pub(super) fn profile(world: &World) -> Result<Profile, Failure> {
    let settings = json!({"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
        "percentageOfNodesToScore": 100, "profiles": world.profiles});
    let settings = Settings::from_yaml(&settings.to_string(), &Registry::default())?;
    Ok(settings.scheduler.profiles.into_iter().next().ok_or("there is no profile")?)
}

/// What is to be done with a pod that has come since.
pub(super) fn advise(snapshot: &Snapshot, profile: &Profile, mut pod: Value) -> Result<Advice, Failure> {
    pod["status"] = json!({});
    pod["spec"]["nodeName"].take();
    let pod = PodInfo::parse(from_value::<Pod>(pod)?)?;
    let decision = schedule(snapshot, &pod, profile, &mut Rng::with_seed(0));
    let name = |id| snapshot.view(id).name().to_owned();
    let feasible: Vec<_> = decision.feasible.iter().map(|id| name(*id)).collect();
    let best = decision.totals.iter().max().copied();
    let mut advice = Advice { best: feasible.clone(), ..Advice::default() };
    if feasible.len() > 1 {
        let totals = feasible.iter().zip(&decision.totals);
        advice.best =
            totals.filter(|(_, total)| Some(**total) == best).map(|(node, _)| node.clone()).collect();
    }
    for scores in &decision.scores {
        let by_node = feasible.iter().zip(&scores.weighted);
        advice.scores.extend(by_node.map(|(node, score)| ((scores.plugin.to_owned(), node.clone()), *score)));
    }
    if decision.preemption.is_some() {
        let cycle = Cycle { snapshot, pod: &pod };
        let mut ways = Vec::new();
        for plugin in profile.plugins.iter().filter_map(|enabled| enabled.plugin.as_post_filter()) {
            ways.extend(plugin.ways_out(&cycle, profile, &decision.refused));
        }
        let key =
            |way: &kube_sched::framework::Preemption| way.victims.iter().map(|key| key.to_string()).collect();
        advice.ways = ways.iter().map(|way| (name(way.node), key(way))).collect();
    }
    advice.feasible = feasible;
    Ok(advice)
}

/// Everything that is there.
pub(super) async fn snapshot(api: &Objects) -> Result<Snapshot, Failure> {
    let mut snapshot = Snapshot::new();
    for object in api.list("/api/v1/namespaces").await? {
        let namespace: Namespace = from_value(object)?;
        let name = namespace.metadata.name.unwrap_or_default();
        snapshot.upsert_namespace(&name, namespace.metadata.labels.unwrap_or_default());
    }
    for object in api.list("/api/v1/nodes").await? {
        snapshot.upsert_node(Arc::new(NodeInfo::parse(&from_value::<Node>(object)?)?));
    }
    for object in api.list("/api/v1/pods").await? {
        let pod = Arc::new(PodInfo::parse(from_value::<Pod>(object)?)?);
        match pod.nominated_node().map(Into::into) {
            Some(node) if pod.node_name.is_none() => snapshot.nominate(pod, node),
            _ if !pod.is_finished() => snapshot.upsert_pod(pod),
            _ => {}
        }
    }
    storage(api, &mut snapshot).await?;
    devices(api, &mut snapshot).await?;
    for object in api.list("/apis/policy/v1/poddisruptionbudgets").await? {
        let (namespace, name) = key(&object);
        snapshot.upsert_budget(&namespace, &name, Budget::parse(&from_value(object)?));
    }
    for (kind, path) in [
        (SelectingKind::Service, "/api/v1/services"),
        (SelectingKind::ReplicaSet, "/apis/apps/v1/replicasets"),
        (SelectingKind::StatefulSet, "/apis/apps/v1/statefulsets"),
    ] {
        for object in api.list(path).await? {
            let ((namespace, name), selector) = (key(&object), object["spec"]["selector"].clone());
            let selector =
                if kind == SelectingKind::Service { json!({"matchLabels": selector}) } else { selector };
            let selector: LabelSelector = from_value(selector)?;
            snapshot.upsert_selecting(kind, &namespace, &name, Some(&selector));
        }
    }
    Ok(snapshot)
}

fn key(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

async fn storage(api: &Objects, snapshot: &mut Snapshot) -> Result<(), Failure> {
    let storage = snapshot.storage_mut();
    for object in api.list("/api/v1/persistentvolumes").await? {
        storage.upsert_volume(from_value(object)?);
    }
    for object in api.list("/api/v1/persistentvolumeclaims").await? {
        storage.upsert_claim(from_value(object)?);
    }
    for object in api.list("/apis/storage.k8s.io/v1/storageclasses").await? {
        storage.upsert_class(from_value(object)?);
    }
    for object in api.list("/apis/storage.k8s.io/v1/csinodes").await? {
        storage.upsert_csi_node(from_value(object)?);
    }
    for object in api.list("/apis/storage.k8s.io/v1/csidrivers").await? {
        storage.upsert_csi_driver(from_value(object)?);
    }
    for object in api.list("/apis/storage.k8s.io/v1/csistoragecapacities").await? {
        storage.upsert_capacity(from_value(object)?);
    }
    Ok(())
}

async fn devices(api: &Objects, snapshot: &mut Snapshot) -> Result<(), Failure> {
    let devices = snapshot.devices_mut();
    for object in api.list("/apis/resource.k8s.io/v1/deviceclasses").await? {
        devices.upsert_class(from_value(object)?);
    }
    for object in api.list("/apis/resource.k8s.io/v1/resourceslices").await? {
        devices.upsert_slice(&from_value(object)?);
    }
    for object in api.list("/apis/resource.k8s.io/v1/resourceclaims").await? {
        devices.upsert_claim(from_value(object)?);
    }
    Ok(())
}
