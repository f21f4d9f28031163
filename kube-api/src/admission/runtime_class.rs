//! RuntimeClass: what a pod costs and where it may run because of the runtime it asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{Admission, Lookup, Operation, Review, tolerations};
use crate::error::{Error, Result};
use crate::quantity::Quantity;

const MISMATCH: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
const UNFOUNDED: &str = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";

#[derive(Debug)]
pub(super) struct RuntimeClass;

#[async_trait]
impl Admission for RuntimeClass {
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
        let Some(class) = class_of(review, object, lookup).await? else { return Ok(()) };
        let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return Ok(()) };
        let decided = set_overhead(spec, &class).and_then(|()| set_scheduling(spec, &class));
        decided.map_err(|detail| Error::forbidden(review.target(), detail))
    }

    async fn validate(
        &self,
        review: &Review<'_>,
        object: Option<&Value>,
        _old: Option<&Value>,
        lookup: &dyn Lookup,
    ) -> Result<()> {
        let Some(object) = object else { return Ok(()) };
        let class = class_of(review, object, lookup).await?;
        let given = object.pointer("/spec/overhead");
        let detail = match class.as_ref().and_then(|class| class.get("overhead")) {
            Some(overhead) if amounts(overhead.get("podFixed")) != amounts(given) => MISMATCH,
            None if given.is_some() => UNFOUNDED,
            _ => return Ok(()),
        };
        Err(Error::forbidden(review.target(), detail))
    }
}

/// The class that a pod names.
async fn class_of(review: &Review<'_>, pod: &Value, lookup: &dyn Lookup) -> Result<Option<Arc<Value>>> {
    let Some(name) = pod.pointer("/spec/runtimeClassName").and_then(Value::as_str) else { return Ok(None) };
    let class = lookup.get("node.k8s.io", "runtimeclasses", "", name).await?;
    let detail = || format!("pod rejected: RuntimeClass {name:?} not found");
    class.ok_or_else(|| Error::forbidden(review.target(), detail())).map(Some)
}

/// Or else the reason to refuse the pod.
type Decided = Result<(), String>;

fn set_overhead(spec: &mut Map<String, Value>, class: &Value) -> Decided {
    let Some(overhead) = class.get("overhead") else { return Ok(()) };
    let (fixed, given) = (overhead.get("podFixed"), amounts(spec.get("overhead")));
    if !given.is_empty() && given != amounts(fixed) {
        return Err(MISMATCH.to_owned());
    }
    match fixed {
        Some(fixed) => spec.insert("overhead".to_owned(), fixed.clone()),
        None => spec.remove("overhead"),
    };
    Ok(())
}

/// Amounts are the same however they are written.
fn amounts(list: Option<&Value>) -> BTreeMap<&str, Option<Quantity>> {
    let parse = |amount: &Value| amount.as_str().and_then(|amount| amount.parse().ok());
    let list = list.and_then(Value::as_object).into_iter().flatten();
    list.map(|(resource, amount)| (resource.as_str(), parse(amount))).collect()
}

fn set_scheduling(spec: &mut Map<String, Value>, class: &Value) -> Decided {
    let Some(scheduling) = class.get("scheduling") else { return Ok(()) };
    if let Some(selector) = scheduling.get("nodeSelector").and_then(Value::as_object) {
        narrow(spec, selector)?;
    }
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let merged = tolerations::merge(list(spec.get("tolerations")), list(scheduling.get("tolerations")));
    if !merged.is_empty() {
        spec.insert("tolerations".to_owned(), merged.into());
    }
    Ok(())
}

fn narrow(spec: &mut Map<String, Value>, selector: &Map<String, Value>) -> Decided {
    if selector.is_empty() {
        return Ok(());
    }
    let own = spec.entry("nodeSelector").or_insert_with(|| Map::new().into());
    let Some(own) = own.as_object_mut() else { return Ok(()) };
    let plain = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for (key, value) in selector {
        if let Some(given) = own.get(key).filter(|given| *given != value) {
            return Err(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                plain(value),
                plain(given)
            ));
        }
        own.insert(key.clone(), value.clone());
    }
    Ok(())
}
