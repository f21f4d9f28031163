//! What every cluster has from the start.

use serde_json::{Value, json};

use crate::auth::User;
use crate::decode::Decoded;
use crate::error::{Error, Result};
use crate::registry::{Part, Registry, Subject};
use crate::request::{Query, WriteOptions};

/// Creates what is missing and restores what the allocators must know.
pub(crate) async fn run(registry: &Registry) -> Result<()> {
    use crate::admission::Lookup;
    for service in Lookup::list(registry, "", "services", "").await? {
        registry.allocator.restore(&service);
    }
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        ensure(registry, "namespaces", "", namespace).await?;
    }
    for (name, value, description) in [
        (
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
        (
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
    ] {
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": value, "description": description, "preemptionPolicy": "PreemptLowerPriority",
        });
        ensure(registry, "priorityclasses", "", class).await?;
    }
    kubernetes_service(registry).await
}

async fn kubernetes_service(registry: &Registry) -> Result<()> {
    let config = &registry.config;
    let address = config.advertise_address.to_string();
    let first = registry.allocator.first().ok_or_else(|| Error::bad_request("service_cidr is too small"))?;
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "labels": labels},
        "spec": {
            "type": "ClusterIP", "clusterIP": first.to_string(), "clusterIPs": [first.to_string()], "sessionAffinity": "None",
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": config.advertise_port}],
        },
    });
    ensure(registry, "services", "default", service).await?;
    // Loopback means something else on every machine, so it is no endpoint (and validation would refuse it).
    if config.advertise_address.is_loopback() {
        return Ok(());
    }
    let port = json!([{"name": "https", "protocol": "TCP", "port": config.advertise_port}]);
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": address}], "ports": port}],
    });
    put(registry, "endpoints", "default", endpoints).await?;
    let family = if config.advertise_address.is_ipv4() { "IPv4" } else { "IPv6" };
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": family, "ports": port,
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
    });
    put(registry, "endpointslices", "default", slice).await
}

fn subject(registry: &Registry, plural: &str, namespace: &str, object: &Value) -> Result<Subject> {
    let (group, version) =
        object["apiVersion"].as_str().and_then(|v| v.split_once('/')).unwrap_or(("", "v1"));
    let user = User::new("system:apiserver", ["system:masters"]);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Ok(Subject::new(registry.kind(group, version, plural)?, namespace, name, user))
}

/// Creates an object unless there is one of its name.
async fn ensure(registry: &Registry, plural: &str, namespace: &str, object: Value) -> Result<()> {
    let subject = subject(registry, plural, namespace, &object)?;
    if registry.find(&subject.kind, namespace, &subject.name).await?.is_some() {
        return Ok(());
    }
    let body = Decoded { value: object, duplicates: Vec::new() };
    match registry.create(&subject, body, &WriteOptions::parse(&Query::default())?).await {
        Ok(_) | Err(Error::AlreadyExists(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Creates an object or replaces the one of its name.
async fn put(registry: &Registry, plural: &str, namespace: &str, object: Value) -> Result<()> {
    let subject = subject(registry, plural, namespace, &object)?;
    ensure(registry, plural, namespace, object.clone()).await?;
    let body = Decoded { value: object, duplicates: Vec::new() };
    registry.update(&subject, Part::Whole, body, &WriteOptions::parse(&Query::default())?).await.map(drop)
}
