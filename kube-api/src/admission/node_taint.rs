//! TaintNodesByCondition: a new node takes no pods until it is ready.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Admission, Lookup, Operation, Review};
use crate::error::Result;

const NOT_READY: &str = "node.kubernetes.io/not-ready";

#[derive(Debug)]
pub(super) struct TaintNodesByCondition;

#[async_trait]
impl Admission for TaintNodesByCondition {
    fn handles(&self, review: &Review<'_>) -> bool {
        review.is(Operation::Create, "", "nodes")
    }

    async fn admit(
        &self,
        _review: &Review<'_>,
        object: &mut Value,
        _old: Option<&Value>,
        _lookup: &dyn Lookup,
    ) -> Result<()> {
        if object.get("spec").is_none_or(Value::is_null) {
            object["spec"] = json!({});
        }
        let taint = json!({"key": NOT_READY, "effect": "NoSchedule"});
        match object["spec"].get_mut("taints").and_then(Value::as_array_mut) {
            Some(taints) if taints.iter().any(|t| t["key"] == NOT_READY && t["effect"] == "NoSchedule") => {}
            Some(taints) => taints.push(taint),
            None => object["spec"]["taints"] = json!([taint]),
        }
        Ok(())
    }
}
