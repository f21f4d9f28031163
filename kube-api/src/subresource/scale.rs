//! `scale`: the number of replicas of anything that has one, as an `autoscaling/v1` Scale.

use serde_json::{Map, Value, json};

use super::{Input, Output};
use crate::error::{Error, Result};
use crate::field::FieldError;
use crate::object::meta;
use crate::registry::{Part, Proposal, Registry, Subject, apply_patch};
use crate::request::WriteOptions;

pub(super) async fn handle(
    registry: &Registry,
    subject: &Subject,
    input: Input,
    options: &WriteOptions,
) -> Result<Output> {
    if let Input::Nothing = input {
        let current = registry.get(subject).await?.value(&subject.kind)?;
        return Ok(Output { value: scale(&current), created: false });
    }
    let scales = registry.kinds.by_kind("autoscaling", "v1", "Scale").cloned();
    let change = |current: &Value| -> Result<Proposal> {
        let before = scale(current);
        let wanted = match &input {
            Input::Nothing => before,
            Input::Object(body) => body.value.clone(),
            Input::Patch(patch_type, patch) => {
                let kind = scales.as_ref().unwrap_or(&subject.kind);
                apply_patch(kind, &subject.name, &before, *patch_type, patch)?.object
            }
        };
        replicas(subject, current, &wanted).map(Into::into)
    };
    let written = registry.change(subject, Part::Whole, options, change).await?;
    Ok(Output { value: scale(&written.object), created: false })
}

/// The object with the replicas that the Scale wants.
fn replicas(subject: &Subject, current: &Value, wanted: &Value) -> Result<Value> {
    let invalid = |error: FieldError| {
        let (kind, group) = ("Scale".to_owned(), "autoscaling".to_owned());
        Err(Error::Invalid { kind, group, name: subject.name.clone(), errors: vec![error] })
    };
    let count = match wanted.pointer("/spec/replicas") {
        None | Some(Value::Null) => 0,
        Some(value) => match value.as_i64().filter(|n| i32::try_from(*n).is_ok()) {
            Some(number) => number,
            None => {
                return Err(Error::bad_request(
                    "Scale in version \"v1\" cannot be handled as a Scale: spec.replicas is no int32",
                ));
            }
        },
    };
    if count < 0 {
        return invalid(FieldError::invalid("spec.replicas", count, "must be greater than or equal to 0"));
    }
    let mut object = current.clone();
    object["spec"]["replicas"] = count.into();
    let (version, uid) = (meta(wanted, "resourceVersion"), meta(wanted, "uid"));
    object["metadata"]["resourceVersion"] = version.into();
    if !uid.is_empty() {
        object["metadata"]["uid"] = uid.into();
    }
    Ok(object)
}

fn scale(object: &Value) -> Value {
    let keep = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"];
    let metadata: Map<String, Value> = keep
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), object.get("metadata")?.get(key)?.clone())))
        .collect();
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {"replicas": number("/spec/replicas")},
        "status": {"replicas": number("/status/replicas"), "selector": selector(object)},
    })
}

/// The selector as text, from its map or object form.
fn selector(object: &Value) -> String {
    let Some(selector) = object.pointer("/spec/selector") else { return String::new() };
    let labels = selector.get("matchLabels").filter(|l| l.is_object());
    let whole = if labels.is_some() || selector.get("matchExpressions").is_some() {
        crate::selector::LabelSelector::from_object(selector).ok().map(|s| s.to_string())
    } else {
        let plain = selector.as_object().into_iter().flatten();
        Some(
            plain
                .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
                .collect::<Vec<_>>()
                .join(","),
        )
    };
    whole.unwrap_or_default()
}
