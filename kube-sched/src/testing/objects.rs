//! Small nodes and pods, of which a test states only what matters to it.

use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Decision, NodeInfo, PodInfo};

/// An object from JSON.
///
/// # Panics
/// If the value is no such object, with the reason.
#[must_use]
pub fn parse<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the test's object is well-formed")
}

/// Adds the fields of `extra` to those of `target`, at every depth; lists and plain values are replaced.
pub fn merge(target: &mut Value, extra: Value) {
    match (target, extra) {
        (Value::Object(target), Value::Object(extra)) => {
            for (key, value) in extra {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, extra) => *target = extra,
    }
}

/// A node of 8 cores, 8 GiB and 110 pods, changed by [merging](merge) in `extra`.
///
/// # Panics
/// If the result is no node.
#[must_use]
pub fn node(name: &str, extra: Value) -> NodeInfo {
    let allocatable = json!({"cpu": "8", "memory": "8Gi", "pods": "110"});
    let mut node = json!({"metadata": {"name": name}, "status": {"allocatable": allocatable}});
    merge(&mut node, extra);
    NodeInfo::parse(&parse(node)).expect("the test's quantities are well-formed")
}

/// A pod of the namespace `ns` with one container, its name for a UID, changed by [merging](merge) in `extra`.
///
/// # Panics
/// If the result is no pod.
#[must_use]
pub fn pod(name: &str, extra: Value) -> PodInfo {
    let mut pod = json!({"metadata": {"name": name, "namespace": "ns", "uid": name}, "spec": {"containers": [{"name": "c"}]}});
    merge(&mut pod, extra);
    PodInfo::parse(parse::<Pod>(pod)).expect("the test's quantities are well-formed")
}

/// The chosen node, or the message up to what the remedies say.
#[must_use]
pub fn outcome(decision: &Decision) -> String {
    let message = decision.message();
    let first = message.find(". ").map_or(message.as_str(), |end| &message[..=end]).to_owned();
    decision.node().map_or(first, ToString::to_string)
}
