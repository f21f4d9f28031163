//! ServiceAccount: every pod acts as an account of its namespace and finds the account's token in a volume.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Admission, Lookup, Operation, Review};
use crate::error::{Error, Result};
use crate::object::text;

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const MIRROR: &str = "/metadata/annotations/kubernetes.io~1config.mirror";

#[derive(Debug)]
pub(super) struct ServiceAccount;

#[async_trait]
impl Admission for ServiceAccount {
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
        if object.pointer(MIRROR).is_some() {
            return mirror(review, object);
        }
        let given = text(object, "/spec/serviceAccountName");
        let name = if given.is_empty() { "default" } else { given }.to_owned();
        let Some(account) = lookup.get("", "serviceaccounts", review.namespace, &name).await? else {
            let namespace = review.namespace;
            let detail = format!(
                "error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"
            );
            return Err(Error::forbidden(review.target(), detail));
        };
        let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) else { return Ok(()) };
        spec["serviceAccountName"] = name.as_str().into();
        spec["serviceAccount"] = name.as_str().into();
        let secrets = account.get("imagePullSecrets").filter(|s| s.is_array());
        if let (None, Some(secrets)) = (spec.get("imagePullSecrets"), secrets) {
            spec["imagePullSecrets"] = secrets.clone();
        }
        let wants = |object: &Value| object.get("automountServiceAccountToken").and_then(Value::as_bool);
        if wants(spec).or(wants(&account)).unwrap_or(true) {
            mount_token(spec, &format!("kube-api-access-{}", lookup.suffix()));
        }
        Ok(())
    }
}

/// What a node runs by itself must not reach for anything in the cluster.
fn mirror(review: &Review<'_>, object: &Value) -> Result<()> {
    let refuse =
        |what: &str| Err(Error::forbidden(review.target(), format!("a mirror pod may not reference {what}")));
    if !text(object, "/spec/serviceAccountName").is_empty() {
        return refuse("service accounts");
    }
    let volumes = object.pointer("/spec/volumes").and_then(Value::as_array);
    if volumes.into_iter().flatten().any(|v| v.get("secret").is_some() || v.get("projected").is_some()) {
        return refuse("secrets");
    }
    if object.pointer("/spec/resourceClaims").is_some() {
        return refuse("resource claims");
    }
    Ok(())
}

fn mount_token(spec: &mut Value, volume: &str) {
    let mount = json!({"name": volume, "mountPath": MOUNT_PATH, "readOnly": true});
    let mut used = false;
    for list in ["initContainers", "containers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let mounts =
                container.as_object_mut().map(|c| c.entry("volumeMounts").or_insert_with(|| json!([])));
            let Some(mounts) = mounts.and_then(Value::as_array_mut) else { continue };
            if !mounts.iter().any(|m| m["mountPath"] == MOUNT_PATH) {
                mounts.push(mount.clone());
                used = true;
            }
        }
    }
    let Some(map) = spec.as_object_mut().filter(|_| used) else { return };
    if let Some(volumes) = map.entry("volumes").or_insert_with(|| json!([])).as_array_mut() {
        volumes.push(json!({"name": volume, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{
                "path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
            }]}},
        ]}}));
    }
}
