//! Telling the API server about a pod.

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::{Map, Value, json};

use super::ops::Subject;
use crate::{
    Error, Result,
    pod::{mirror::is_static, spec::pod_ref},
};

/// The strategic merge patch that turns `known` into `wanted`; `None` when there is nothing to change.
pub(super) fn difference(known: &PodStatus, wanted: &PodStatus) -> Option<Value> {
    let object = |status: &PodStatus| match serde_json::to_value(status) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    };
    let (known, mut wanted) = (object(known), object(wanted));
    let mut patch = Map::new();
    if let Some(changed) = changed_conditions(known.get("conditions"), wanted.remove("conditions")) {
        patch.insert("conditions".to_owned(), changed);
    }
    for key in ["reason", "message"] {
        if known.contains_key(key) && !wanted.contains_key(key) {
            patch.insert(key.to_owned(), Value::Null);
        }
    }
    for (key, value) in wanted {
        let before = known.get(&key);
        if before == Some(&value) {
            continue;
        }
        let merged_by_ip = matches!(key.as_str(), "podIPs" | "hostIPs") && before.is_some();
        let value = match value {
            // These lists are merged by address; what was there must go.
            Value::Array(mut list) if merged_by_ip => {
                list.push(json!({"$patch": "replace"}));
                Value::Array(list)
            }
            other => other,
        };
        patch.insert(key, value);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// The conditions that are not as they are known; a field that one has lost is unset, since a merge would keep it.
fn changed_conditions(known: Option<&Value>, wanted: Option<Value>) -> Option<Value> {
    let known = known.and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(Value::Array(wanted)) = wanted else { return None };
    let mut changed: Vec<Value> = wanted.into_iter().filter(|c| !known.contains(c)).collect();
    for condition in &mut changed {
        let before = known.iter().find(|k| k.get("type") == condition.get("type")).and_then(Value::as_object);
        if let (Some(before), Some(condition)) = (before, condition.as_object_mut()) {
            unset_lost(before, condition);
        }
    }
    (!changed.is_empty()).then_some(Value::Array(changed))
}

fn unset_lost(before: &Map<String, Value>, after: &mut Map<String, Value>) {
    for key in before.keys() {
        after.entry(key.clone()).or_insert(Value::Null);
    }
}

/// Sends what changed; the pod as the API server has it then, or `None` when nothing had changed.
pub(super) async fn send(subject: &Subject, known: &PodStatus, wanted: &PodStatus) -> Result<Option<Pod>> {
    let Some(status) = difference(known, wanted) else { return Ok(None) };
    let whose = pod_ref(&subject.pod);
    let api: Api<Pod> = Api::namespaced(subject.context.client.clone(), &whose.namespace);
    let patch = match is_static(&subject.pod) {
        // Its mirror has another uid, and is this pod's whatever that is.
        true => json!({"status": status}),
        // The uid makes sure that a new pod of the same name is left alone.
        false => json!({"metadata": {"uid": whose.uid}, "status": status}),
    };
    let sent = api.patch_status(&whose.name, &PatchParams::default(), &Patch::Strategic(&patch)).await;
    Ok(Some(sent?))
}

/// Removes the pod from the API, now that nothing of it runs. That it is gone already is fine.
pub(super) async fn delete(subject: &Subject) -> Result<()> {
    let whose = pod_ref(&subject.pod);
    let api: Api<Pod> = Api::namespaced(subject.context.client.clone(), &whose.namespace);
    let params = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions { uid: Some(whose.uid), resource_version: None }),
        ..DeleteParams::default()
    };
    match api.delete(&whose.name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(Error::from(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(json: Value) -> PodStatus {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_lost_is_unset() {
        let ready = |message: Option<&str>| {
            let mut condition = json!({"type": "Ready", "status": "False", "reason": "PodFailed"});
            if let Some(message) = message {
                condition["message"] = message.into();
            }
            json!({"phase": "Failed", "conditions": [condition]})
        };
        let (mut known, wanted) = (ready(Some("not ready")), ready(None));
        known["reason"] = "Evicted".into();
        let patch = difference(&status(known), &status(wanted.clone())).unwrap();
        let expected = json!({"reason": null, "conditions": [
            {"type": "Ready", "status": "False", "reason": "PodFailed", "message": null}]});
        assert_eq!(patch, expected);
        assert_eq!(difference(&status(wanted.clone()), &status(wanted)), None);
    }
}
