//! Carrying out a volume plan through the API server, before the pod is bound.

use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Client;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::VolumeBinding;
use crate::Error;
use crate::framework::{Binding, PreBind};
use crate::request::Objects;
use crate::snapshot::{Claim, SELECTED_NODE, Storage, Volume};

/// How often claims are looked at while they are being bound, as upstream.
const POLL: Duration = Duration::from_secs(1);

#[async_trait]
impl PreBind for VolumeBinding {
    async fn pre_bind(&self, client: &Client, binding: &Binding<'_>) -> Result<(), Error> {
        let Some(plan) = binding.volumes else { return Ok(()) };
        for (claim, volume) in &plan.bindings {
            reserve(client, claim, volume).await?;
        }
        for claim in &plan.provisions {
            select_node(client, claim, binding.node).await?;
        }
        let deadline = Instant::now() + self.timeout;
        for (claim, _) in &plan.bindings {
            bound(client, claim, None, deadline).await?;
        }
        for claim in &plan.provisions {
            bound(client, claim, Some(binding.node), deadline).await?;
        }
        Ok(())
    }
}

/// Reserves a volume for a claim; the control plane binds both then. Fails if either has changed since.
async fn reserve(client: &Client, claim: &Claim, volume: &Volume) -> Result<(), Error> {
    let metadata = &claim.object.metadata;
    let ours = |other: Option<&str>| other.is_some() && other == metadata.uid.as_deref();
    if ours(volume.claim().and_then(|reference| reference.uid.as_deref())) {
        return Ok(());
    }
    let patch = json!({
        "metadata": {
            "resourceVersion": volume.object.metadata.resource_version,
            "annotations": {"pv.kubernetes.io/bound-by-controller": "yes"},
        },
        "spec": {"claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": metadata.namespace, "name": metadata.name,
            "uid": metadata.uid, "resourceVersion": metadata.resource_version}},
    });
    let answer = Objects::volumes(client).merge(&volume.name, patch).await;
    answer.map_err(|error| Error::from_api(&volume.name, error))
}

/// Asks the provisioner to make a volume that the node can reach.
async fn select_node(client: &Client, claim: &Claim, node: &str) -> Result<(), Error> {
    let patch = json!({
        "metadata": {"resourceVersion": claim.object.metadata.resource_version, "annotations": {SELECTED_NODE: node}},
    });
    let answer = claims(client, claim).merge(claim.name(), patch).await;
    answer.map_err(|error| Error::from_api(&claim.key, error))
}

/// Waits until the claim is bound. A provisioner that fails takes the node's name away.
async fn bound(
    client: &Client,
    claim: &Claim,
    selected: Option<&str>,
    deadline: Instant,
) -> Result<(), Error> {
    let api = claims(client, claim);
    loop {
        let object = api.get(claim.name()).await.and_then(|text| read_claim(&text));
        let mut seen = Storage::default();
        seen.upsert_claim(object.map_err(|error| Error::from_api(&claim.key, error))?);
        let Some(now) = seen.claim(&claim.key) else { return Err(Error::Gone(claim.key.to_string())) };
        if now.is_bound() {
            return Ok(());
        }
        if selected.is_some() && now.selected_node.as_deref() != selected {
            return Err(Error::Volumes(format!("provisioning failed for PVC {:?}", claim.name())));
        }
        if Instant::now() >= deadline {
            return Err(Error::Volumes("context deadline exceeded".to_owned()));
        }
        sleep(POLL).await;
    }
}

fn read_claim(text: &str) -> kube::Result<PersistentVolumeClaim> {
    serde_json::from_str(text).map_err(kube::Error::SerdeError)
}

fn claims<'a>(client: &'a Client, claim: &Claim) -> Objects<'a> {
    let namespace = claim.key.split_once('/').map_or("", |(namespace, _)| namespace);
    Objects::claims(client, namespace)
}
