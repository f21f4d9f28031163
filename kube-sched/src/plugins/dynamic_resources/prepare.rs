//! Writing allocations and reservations before the pod is bound.

use async_trait::async_trait;
use k8s_openapi::api::resource::v1::ResourceClaim;
use kube::Client;
use serde_json::{Value, json};

use super::{DynamicResources, claims};
use crate::Error;
use crate::framework::{Binding, PreBind};
use crate::pod::PodInfo;
use crate::request::Objects;
use crate::snapshot::{PlannedClaim, allocation, claim_key};

/// Keeps claims that have devices from vanishing.
const FINALIZER: &str = "resource.kubernetes.io/delete-protection";
/// How often a claim is tried that others change at the same time, as upstream.
const ATTEMPTS: usize = 5;

#[async_trait]
impl PreBind for DynamicResources {
    async fn pre_bind(&self, client: &Client, binding: &Binding<'_>) -> Result<(), Error> {
        let planned = binding.devices.map_or(&[][..], |plan| plan.claims.as_slice());
        for claim in planned {
            reserve(client, claim, binding.pod).await?;
        }
        Ok(())
    }
}

/// Writes that a claim has its devices and is reserved for the pod.
async fn reserve(client: &Client, planned: &PlannedClaim, pod: &PodInfo) -> Result<(), Error> {
    let key = claim_key(&planned.claim);
    let name = key.rsplit('/').next().unwrap_or_default();
    let claims = Objects::device_claims(client, pod.namespace());
    let mut claim = (*planned.claim).clone();
    for attempt in 1..=ATTEMPTS {
        match write(&claims, &claim, planned, pod).await {
            Err(Error::Conflict(_)) if attempt < ATTEMPTS => {}
            outcome => return outcome,
        }
        let now = claims.get(name).await.and_then(|text| read(&text));
        claim = now.map_err(|error| Error::from_api(&key, error))?;
        if claim.metadata.uid != planned.claim.metadata.uid {
            return Err(Error::Gone(key.to_string()));
        }
    }
    Ok(())
}

/// Fails with a conflict if somebody else has changed the claim since.
async fn write(
    claims: &Objects<'_>,
    claim: &ResourceClaim,
    planned: &PlannedClaim,
    pod: &PodInfo,
) -> Result<(), Error> {
    let key = claim_key(claim);
    let name = key.rsplit('/').next().unwrap_or_default();
    let failed = |error| Error::from_api(&key, error);
    if claim.metadata.deletion_timestamp.is_some() {
        return Err(Error::Claims(format!("claim {key} got deleted in the meantime")));
    }
    if claims::is_reserved_for(claim, pod) {
        return Ok(());
    }
    let mut version = claim.metadata.resource_version.clone();
    let mut status = json!({"reservedFor": reservations(claim, pod)});
    if let Some(planned) = &planned.allocation {
        if allocation(claim).is_some() {
            return Err(Error::Claims(format!("claim {key} got allocated elsewhere in the meantime")));
        }
        let finalizers = claim.metadata.finalizers.as_deref().unwrap_or_default();
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            let all: Vec<_> = finalizers.iter().map(String::as_str).chain([FINALIZER]).collect();
            let patch = json!({"metadata": {"resourceVersion": version, "finalizers": all}});
            let answer = claims.merge_to(name, patch).await.and_then(|text| read(&text));
            version = answer.map_err(failed)?.metadata.resource_version;
        }
        status["allocation"] = json!(planned);
    }
    let patch = json!({"metadata": {"resourceVersion": version}, "status": status});
    let answer = claims.merge_status(name, patch).await.map_err(failed)?;
    // The devices are taken from here on, whatever becomes of the pod.
    let written = read(&answer).ok().and_then(|claim| claim.metadata.resource_version).or(version);
    _ = planned.written.set(written.unwrap_or_default());
    Ok(())
}

/// Everybody for whom the claim is reserved, and the pod.
fn reservations(claim: &ResourceClaim, pod: &PodInfo) -> Vec<Value> {
    let reserved =
        claim.status.as_ref().and_then(|status| status.reserved_for.as_deref()).unwrap_or_default();
    let ours = json!({"resource": "pods", "name": pod.name(), "uid": &*pod.uid});
    reserved.iter().map(|consumer| json!(consumer)).chain([ours]).collect()
}

fn read(text: &str) -> kube::Result<ResourceClaim> {
    serde_json::from_str(text).map_err(kube::Error::SerdeError)
}
