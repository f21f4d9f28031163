//! What is behind a claim.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::{
    CSIPersistentVolumeSource, HostPathVolumeSource, PersistentVolume, PersistentVolumeClaim,
};
use kube::{Api, Client};

use crate::{Error, Result};

/// Where a persistent volume is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Backing {
    /// In a folder of the node, made when it is missing.
    HostPath(HostPathVolumeSource),
    /// At a path of the node.
    Local(PathBuf),
    /// With a driver; and the options that it is to be mounted with.
    Driver(Box<CSIPersistentVolumeSource>, Vec<String>),
}

/// What the claim of this name is bound to.
pub(super) async fn backing(client: &Client, namespace: &str, name: &str) -> Result<Backing> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let claim = claims.get(name).await?;
    let is_bound = claim.status.is_some_and(|status| status.phase.as_deref() == Some("Bound"));
    let bound = claim.spec.and_then(|spec| spec.volume_name).filter(|_| is_bound);
    let bound = bound.ok_or_else(|| Error::Failed(format!("PVC {namespace}/{name} is not bound")))?;
    let volume: PersistentVolume = Api::all(client.clone()).get(&bound).await?;
    let spec = volume.spec.unwrap_or_default();
    match (spec.host_path, spec.local, spec.csi) {
        (Some(source), ..) => Ok(Backing::HostPath(source)),
        (_, Some(local), _) => Ok(Backing::Local(PathBuf::from(local.path))),
        (_, _, Some(source)) => Ok(Backing::Driver(Box::new(source), spec.mount_options.unwrap_or_default())),
        _ => Err(Error::Unsupported("this kind of persistent volume")),
    }
}
