//! `pods/binding`: a scheduler's decision.

use serde_json::{Value, json};

use super::{Output, done};
use crate::error::{Error, Result};
use crate::field::FieldError;
use crate::object::{is_deleting, meta, text};
use crate::registry::{Registry, Subject};
use crate::request::WriteOptions;

pub(super) async fn bind(
    registry: &Registry,
    subject: &Subject,
    binding: Value,
    options: &WriteOptions,
) -> Result<Output> {
    let node = text(&binding, "/target/name").to_owned();
    let kind = text(&binding, "/target/kind");
    let errors = match (kind, node.is_empty()) {
        (_, true) => vec![FieldError::required("target.name", "")],
        ("" | "Node", _) => Vec::new(),
        (other, _) => vec![FieldError::not_supported("target.kind", other, &["Node", "<empty>"])],
    };
    if !errors.is_empty() {
        let (kind, name) = ("Binding".to_owned(), subject.name.clone());
        return Err(Error::Invalid { kind, group: String::new(), name, errors });
    }
    let now = registry.config.clock.rfc3339();
    let change = |pod: Value| assign(subject, pod, &binding, &node, &now);
    registry.rewrite(subject, options, change).await?;
    Ok(done())
}

fn assign(subject: &Subject, mut pod: Value, binding: &Value, node: &str, now: &str) -> Result<Value> {
    let conflict = |detail: String| {
        let mut target = subject.target();
        target.resource = "pods/binding".to_owned();
        Err(Error::Conflict { target, detail })
    };
    let (wanted, actual) = (meta(binding, "uid"), meta(&pod, "uid"));
    if !wanted.is_empty() && wanted != actual {
        return conflict(format!(
            "Precondition failed: UID in precondition: {wanted}, UID in object meta: {actual}"
        ));
    }
    let name = &subject.name;
    if is_deleting(&pod) {
        return conflict(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let bound = text(&pod, "/spec/nodeName");
    if !bound.is_empty() {
        return conflict(format!("pod {name} is already assigned to node {bound:?}"));
    }
    if pod.pointer("/spec/schedulingGates").and_then(Value::as_array).is_some_and(|g| !g.is_empty()) {
        return conflict(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    pod["spec"]["nodeName"] = node.into();
    if let Some(given) = binding.pointer("/metadata/annotations").and_then(Value::as_object) {
        for (key, value) in given {
            pod["metadata"]["annotations"][key] = value.clone();
        }
    }
    scheduled(&mut pod, now);
    Ok(pod)
}

/// Sets the condition `PodScheduled` to true.
fn scheduled(pod: &mut Value, now: &str) {
    let condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
    });
    let status = &mut pod["status"];
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(conditions) = status["conditions"].as_array_mut() else { return };
    match conditions.iter_mut().find(|c| c["type"] == "PodScheduled") {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
}
