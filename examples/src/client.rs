//! Clients of a cluster, from a kubeconfig.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::Failure;

/// A client with the current context of the kubeconfig at `path`.
///
/// # Errors
/// If the file is missing or names no usable cluster and user.
pub async fn from_kubeconfig(path: &Path) -> Result<Client, Failure> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
