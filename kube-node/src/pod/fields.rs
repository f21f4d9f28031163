//! Downward API: fields and resources of the pod as text.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::{
    api::core::v1::{Container, ObjectFieldSelector, Pod, ResourceFieldSelector},
    apimachinery::pkg::api::resource::Quantity,
};

use super::{quantity, spec};
use crate::{Error, Result};

/// What fields may ask for besides the pod itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct FieldContext {
    pub(crate) node_name: String,
    pub(crate) node_ips: Vec<IpAddr>,
    pub(crate) pod_ips: Vec<IpAddr>,
    /// The node's allocatable amounts: what an absent limit means.
    pub(crate) allocatable: BTreeMap<String, Quantity>,
}

fn joined(ips: &[IpAddr]) -> String {
    ips.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
}

fn first(ips: &[IpAddr]) -> String {
    ips.first().map(IpAddr::to_string).unwrap_or_default()
}

/// The value of a field, as environment variables and downward API files have it.
pub(crate) fn field(pod: &Pod, selector: &ObjectFieldSelector, context: &FieldContext) -> Result<String> {
    let meta = &pod.metadata;
    let path = selector.field_path.as_str();
    if let Some((map, key)) = path.strip_suffix("']").and_then(|p| p.split_once("['")) {
        let map = match map {
            "metadata.labels" => &meta.labels,
            "metadata.annotations" => &meta.annotations,
            _ => return Err(Error::Invalid(format!("fieldPath {path:?} does not support subscript"))),
        };
        return Ok(map.as_ref().and_then(|m| m.get(key)).cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => meta.name.clone().unwrap_or_default(),
        "metadata.namespace" => meta.namespace.clone().unwrap_or_default(),
        "metadata.uid" => meta.uid.clone().unwrap_or_default(),
        "metadata.labels" => map_lines(meta.labels.as_ref()),
        "metadata.annotations" => map_lines(meta.annotations.as_ref()),
        "spec.nodeName" => context.node_name.clone(),
        "spec.serviceAccountName" => {
            pod.spec.as_ref().and_then(|s| s.service_account_name.clone()).unwrap_or_default()
        }
        "status.hostIP" => first(&context.node_ips),
        "status.hostIPs" => joined(&context.node_ips),
        "status.podIP" => first(&context.pod_ips),
        "status.podIPs" => joined(&context.pod_ips),
        other => return Err(Error::Invalid(format!("unsupported fieldPath: {other}"))),
    })
}

/// One `key="value"` per line, sorted.
fn map_lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines = map.into_iter().flatten().map(|(k, v)| format!("{k}={v:?}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The value of a container's resource; `own` is the container that asks.
pub(crate) fn resource(
    pod: &Pod,
    selector: &ResourceFieldSelector,
    own: Option<&str>,
    context: &FieldContext,
) -> Result<String> {
    let name = selector.container_name.as_deref().filter(|n| !n.is_empty()).or(own).unwrap_or_default();
    let all = spec::containers(pod);
    let container = all.iter().find(|c| c.name() == name);
    let container = container.ok_or_else(|| Error::Invalid(format!("container {name} not found")))?;
    let divisor = selector
        .divisor
        .clone()
        .filter(|d| !matches!(d.0.as_str(), "" | "0"))
        .unwrap_or(Quantity("1".to_owned()));
    let amount = amount_of(&container.spec, &selector.resource, context);
    let amount = amount
        .ok_or_else(|| Error::Invalid(format!("unsupported container resource : {}", selector.resource)))?;
    Ok(quantity::divided(&amount, &divisor))
}

fn amount_of(container: &Container, resource: &str, context: &FieldContext) -> Option<Quantity> {
    let (list, name) = resource.split_once('.')?;
    let resources = container.resources.clone().unwrap_or_default();
    let get = |map: Option<BTreeMap<String, Quantity>>| map.and_then(|m| m.get(name).cloned());
    match list {
        "limits" => get(resources.limits).or_else(|| context.allocatable.get(name).cloned()),
        "requests" => get(resources.requests).or_else(|| get(resources.limits)),
        _ => return None,
    }
    .or_else(|| Some(Quantity("0".to_owned())))
}
