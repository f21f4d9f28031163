//! Priority and DefaultTolerationSeconds: what a pod gets from the cluster.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Admission, Lookup, Operation, Review};
use crate::error::{Error, Result};
use crate::object::{meta, text};

/// Seconds that a pod stays on a node that is not ready or cannot be reached.
const STAY: i64 = 300;

#[derive(Debug)]
pub(super) struct DefaultTolerationSeconds;

#[async_trait]
impl Admission for DefaultTolerationSeconds {
    fn handles(&self, review: &Review<'_>) -> bool {
        review.is(Operation::Create, "", "pods")
    }

    async fn admit(
        &self,
        _review: &Review<'_>,
        object: &mut Value,
        _old: Option<&Value>,
        _lookup: &dyn Lookup,
    ) -> Result<()> {
        let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return Ok(()) };
        let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
        let Some(tolerations) = tolerations.as_array_mut() else { return Ok(()) };
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            if !tolerations.iter().any(|t| covers(t, key)) {
                tolerations.push(json!({
                    "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": STAY,
                }));
            }
        }
        Ok(())
    }
}

fn covers(toleration: &Value, key: &str) -> bool {
    let empty = |field: &str, also: &str| {
        let value = toleration[field].as_str().unwrap_or_default();
        value.is_empty() || value == also
    };
    empty("key", key) && empty("effect", "NoExecute")
}

#[derive(Debug)]
pub(super) struct Priority;

#[async_trait]
impl Admission for Priority {
    fn handles(&self, review: &Review<'_>) -> bool {
        review.is(Operation::Create, "", "pods")
    }

    async fn admit(
        &self,
        review: &Review<'_>,
        object: &mut Value,
        _old: Option<&Value>,
        lookup: &dyn Lookup,
    ) -> Result<()> {
        let named = text(object, "/spec/priorityClassName").to_owned();
        let class = if named.is_empty() {
            default_class(lookup).await?
        } else {
            class(review, lookup, &named).await?
        };
        let (name, value, policy) = match &class {
            Some(class) => {
                (meta(class, "name"), class["value"].as_i64().unwrap_or(0), class["preemptionPolicy"].clone())
            }
            None => ("", 0, Value::Null),
        };
        let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return Ok(()) };
        if let Some(given) = spec.get("priority").and_then(Value::as_i64)
            && given != value
        {
            let detail = format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
            );
            return Err(Error::forbidden(review.target(), detail));
        }
        if !name.is_empty() {
            spec.insert("priorityClassName".to_owned(), name.into());
        }
        spec.insert("priority".to_owned(), value.into());
        let policy = if policy.is_null() { "PreemptLowerPriority".into() } else { policy };
        spec.entry("preemptionPolicy").or_insert(policy);
        Ok(())
    }
}

async fn class(review: &Review<'_>, lookup: &dyn Lookup, name: &str) -> Result<Option<Arc<Value>>> {
    let class = lookup.get("scheduling.k8s.io", "priorityclasses", "", name).await?;
    let missing =
        || Error::forbidden(review.target(), format!("no PriorityClass with name {name} was found"));
    class.ok_or_else(missing).map(Some)
}

async fn default_class(lookup: &dyn Lookup) -> Result<Option<Arc<Value>>> {
    let classes = lookup.list("scheduling.k8s.io", "priorityclasses", "").await?;
    let defaults = classes.into_iter().filter(|c| c["globalDefault"] == true);
    Ok(defaults.min_by_key(|c| c["value"].as_i64().unwrap_or(i64::MAX)))
}
