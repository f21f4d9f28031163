//! Who may look into devices that others use: only claims in namespaces that are marked for it.

use async_trait::async_trait;
use serde_json::Value;

use super::{Admission, Lookup, Operation, Review};
use crate::error::{Error, Result};
use crate::field::FieldError;

const GROUP: &str = "resource.k8s.io";
const LABEL: &str = "resource.kubernetes.io/admin-access";

/// Not a plugin of upstream, but part of how it validates claims; it is here because it looks at another object.
#[derive(Debug)]
pub(super) struct DeviceAdminAccess;

#[async_trait]
impl Admission for DeviceAdminAccess {
    fn handles(&self, review: &Review<'_>) -> bool {
        let status = review.operation == Operation::Update
            && review.kind.group == GROUP
            && review.kind.plural == "resourceclaims"
            && review.subresource == "status";
        let made = |plural| review.is(Operation::Create, GROUP, plural);
        made("resourceclaims") || made("resourceclaimtemplates") || status
    }

    async fn validate(
        &self,
        review: &Review<'_>,
        object: Option<&Value>,
        old: Option<&Value>,
        lookup: &dyn Lookup,
    ) -> Result<()> {
        let Some(path) = object.and_then(|object| wanted(review, object, old)) else { return Ok(()) };
        let namespace = lookup.get("", "namespaces", "", review.namespace).await?;
        let labels = namespace.as_ref().and_then(|namespace| namespace.pointer("/metadata/labels"));
        if labels.and_then(|labels| labels.get(LABEL)).is_some_and(|marked| marked == "true") {
            return Ok(());
        }
        let detail =
            format!("admin access to devices requires the `{LABEL}: true` label on the containing namespace");
        Err(Error::Invalid {
            kind: review.kind.kind.to_string(),
            group: review.kind.group.to_string(),
            name: review.name.to_owned(),
            errors: vec![FieldError::forbidden(path, detail)],
        })
    }
}

/// Where an object asks for it, or gets it, first.
fn wanted(review: &Review<'_>, object: &Value, old: Option<&Value>) -> Option<String> {
    if review.subresource == "status" {
        // Once granted it stays, as the allocation does.
        return match old.and_then(granted) {
            Some(_) => None,
            None => granted(object),
        };
    }
    let template = review.kind.plural == "resourceclaimtemplates";
    let requests = if template { "/spec/spec/devices/requests" } else { "/spec/devices/requests" };
    let at = place(object, requests, "/exactly/adminAccess")?;
    Some(format!("spec.devices.requests[{at}].adminAccess"))
}

fn granted(object: &Value) -> Option<String> {
    let at = place(object, "/status/allocation/devices/results", "/adminAccess")?;
    Some(format!("status.allocation.devices.results[{at}].adminAccess"))
}

/// The first element of a list in which a field is true.
fn place(object: &Value, list: &str, field: &str) -> Option<usize> {
    let list = object.pointer(list)?.as_array()?;
    list.iter().position(|element| element.pointer(field) == Some(&Value::Bool(true)))
}
