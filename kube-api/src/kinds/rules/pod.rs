//! Pods and pod templates: defaults that depend on other fields, the initial status, the quality-of-service class.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::defaults::Defaults;
use super::{Rules, list, tables};
use crate::kinds::validate::pod::{pod, pod_update};
use crate::quantity::Quantity;

static SPEC: LazyLock<Defaults> = LazyLock::new(|| Defaults::parse(tables::POD_SPEC));

/// Every list of containers in a pod's specification.
pub(super) const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

pub(super) fn rules() -> Rules {
    Rules { default, create, validate: pod, validate_update: pod_update, ..Rules::NONE }
}

/// Fills in the specification of the template at a JSON pointer.
pub(super) fn default_template(object: &mut Value, pointer: &str) {
    if let Some(template) = object.pointer_mut(pointer) {
        if let Value::Object(map) = &mut *template {
            map.entry("metadata").or_insert_with(|| json!({}));
        }
        if let Some(spec) = template.get_mut("spec") {
            default_spec(spec);
        }
    }
}

fn default(pod: &mut Value) {
    let Some(spec) = pod.get_mut("spec") else { return };
    default_spec(spec);
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for key in ["containers", "initContainers"] {
        for container in items(spec, key) {
            requests_from_limits(container);
            if host_network {
                ports_on_host(container);
            }
        }
    }
}

fn items<'v>(spec: &'v mut Value, key: &str) -> impl Iterator<Item = &'v mut Value> {
    spec.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

fn default_spec(spec: &mut Value) {
    SPEC.apply(spec);
    for key in CONTAINERS {
        for container in items(spec, key) {
            pull_policy(container, "image", "imagePullPolicy");
        }
    }
    for volume in items(spec, "volumes") {
        let Value::Object(map) = &mut *volume else { continue };
        if map.keys().all(|key| key == "name") {
            map.insert("emptyDir".to_owned(), json!({}));
        }
        if let Some(image) = map.get_mut("image") {
            pull_policy(image, "reference", "pullPolicy");
        }
    }
    account_alias(spec);
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are served.
fn account_alias(spec: &mut Value) {
    let Value::Object(map) = spec else { return };
    let given = |key: &str| map.get(key).filter(|v| *v != "").cloned();
    match given("serviceAccountName").or_else(|| given("serviceAccount")) {
        Some(name) => {
            map.insert("serviceAccount".to_owned(), name.clone());
            map.insert("serviceAccountName".to_owned(), name);
        }
        None => {
            map.remove("serviceAccount");
        }
    }
}

/// `Always` for images without a tag and for `:latest`, otherwise `IfNotPresent`.
fn pull_policy(holder: &mut Value, image: &str, policy: &str) {
    let latest = is_latest(holder.get(image).and_then(Value::as_str).unwrap_or_default());
    if let Value::Object(map) = holder {
        super::fill(map, policy, if latest { "Always" } else { "IfNotPresent" });
    }
}

fn is_latest(image: &str) -> bool {
    if image.is_empty() || image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn requests_from_limits(container: &mut Value) {
    let limits = container.pointer("/resources/limits").and_then(Value::as_object).cloned();
    let Some(limits) = limits.filter(|l| !l.is_empty()) else { return };
    let Some(requests) = super::object_at(container, &["resources", "requests"]) else { return };
    for (resource, quantity) in limits {
        requests.entry(resource).or_insert(quantity);
    }
}

fn ports_on_host(container: &mut Value) {
    for port in items(container, "ports") {
        let number = port.get("containerPort").cloned();
        if let (Value::Object(map), Some(number)) = (port, number)
            && map.get("hostPort").is_none_or(|p| p == 0)
        {
            map.insert("hostPort".to_owned(), number);
        }
    }
}

/// A new pod is pending, and says so if its gates keep it from being scheduled: schedulers do not look at it.
fn create(pod: &mut Value) {
    let class = quality_of_service(pod.get("spec").unwrap_or(&Value::Null));
    let mut status = json!({"phase": "Pending", "qosClass": class});
    if !list(pod, "/spec/schedulingGates").is_empty() {
        status["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "lastProbeTime": null, "lastTransitionTime": null,
            "reason": "SchedulingGated", "message": "Scheduling is blocked due to non-empty scheduling gates",
        }]);
    }
    if let Value::Object(map) = pod {
        map.insert("status".to_owned(), status);
    }
}

/// `Guaranteed` when every container's CPU and memory limits are given and equal the requests, `BestEffort` when nothing
/// is given, otherwise `Burstable`.
fn quality_of_service(spec: &Value) -> &'static str {
    let (mut requests, mut limits) = (BTreeMap::new(), BTreeMap::new());
    let mut guaranteed = true;
    for container in list(spec, "/containers").iter().chain(list(spec, "/initContainers")) {
        add(&mut requests, container.pointer("/resources/requests"));
        let limited = add(&mut limits, container.pointer("/resources/limits"));
        guaranteed &= limited == 2;
    }
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if guaranteed && requests == limits {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Adds up CPU and memory; answers how many of the two were given.
fn add<'v>(total: &mut BTreeMap<&'v str, i128>, resources: Option<&'v Value>) -> usize {
    let mut given = 0;
    for (name, quantity) in resources.and_then(Value::as_object).into_iter().flatten() {
        let nanos = quantity.as_str().and_then(|q| q.parse::<Quantity>().ok()).map_or(0, Quantity::nanos);
        if nanos > 0 && matches!(name.as_str(), "cpu" | "memory") {
            *total.entry(name).or_default() += nanos;
            given += 1;
        }
    }
    given
}
