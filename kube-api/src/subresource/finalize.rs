//! `namespaces/finalize`, and the parts of pods that are written alone.

use serde_json::Value;

use super::{Input, Output};
use crate::decode::Decoded;
use crate::error::{Error, Result};
use crate::object::meta;
use crate::registry::{Registry, Subject, apply_patch};
use crate::request::WriteOptions;

/// Takes over the finalizers of the specification only.
pub(super) async fn namespace(
    registry: &Registry,
    subject: &Subject,
    body: Decoded,
    options: &WriteOptions,
) -> Result<Output> {
    let given = body.value;
    let change = |mut object: Value| {
        check_version(subject, &object, &given)?;
        object["spec"]["finalizers"] =
            given.pointer("/spec/finalizers").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
        Ok(object)
    };
    let written = registry.rewrite(subject, options, change).await?;
    Ok(Output { value: written.object, created: false })
}

fn check_version(subject: &Subject, current: &Value, given: &Value) -> Result<()> {
    let version = meta(given, "resourceVersion");
    if version.is_empty() || version == meta(current, "resourceVersion") {
        return Ok(());
    }
    Err(Error::modified(subject.target()))
}

/// Takes over the ephemeral containers, or the resources of containers, and nothing else.
pub(super) async fn pod_part(
    registry: &Registry,
    subject: &Subject,
    input: Input,
    options: &WriteOptions,
) -> Result<Output> {
    let part = subject.subresource.clone();
    let change = |current: Value| -> Result<Value> {
        let given = match &input {
            Input::Nothing => return Ok(current),
            Input::Object(body) => body.value.clone(),
            Input::Patch(patch_type, patch) => {
                apply_patch(&subject.kind, &subject.name, &current, *patch_type, patch)?.object
            }
        };
        check_version(subject, &current, &given)?;
        let mut object = current.clone();
        if part == "ephemeralcontainers" {
            object["spec"]["ephemeralContainers"] = given["spec"]["ephemeralContainers"].clone();
        } else {
            resources(&mut object, &given);
        }
        if let Some(generation) = object["metadata"]["generation"].as_i64()
            && object != current
        {
            object["metadata"]["generation"] = (generation + 1).into();
        }
        Ok(object)
    };
    let written = registry.rewrite(subject, options, change).await?;
    Ok(Output { value: written.object, created: false })
}

fn resources(object: &mut Value, given: &Value) {
    let containers = object.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        let list = given.pointer("/spec/containers").and_then(Value::as_array);
        let same = list.into_iter().flatten().find(|c| c["name"] == container["name"]);
        if let Some(resources) = same.and_then(|c| c.get("resources")) {
            container["resources"] = resources.clone();
        }
    }
}
