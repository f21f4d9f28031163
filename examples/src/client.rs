//! Clients of a cluster, from a kubeconfig or from inside of one.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::Failure;

/// A client with the current context of the kubeconfig at `path`.
///
/// # Errors
/// If the file is missing or names no usable cluster and user.
pub async fn from_kubeconfig(path: &Path) -> Result<Client, Failure> {
    Ok(Client::try_from(read(path).await?)?)
}

/// A client with a kubeconfig, of a server at a known address, or, with neither, of the cluster that this process runs in. The
/// address counts more than the kubeconfig's.
///
/// # Errors
/// If the file or address is unusable, or if this process runs in no cluster.
pub async fn connect(kubeconfig: Option<&Path>, master: Option<&str>) -> Result<Client, Failure> {
    let master = master.filter(|url| !url.is_empty());
    let mut config = match (kubeconfig, master) {
        (Some(path), _) => read(path).await?,
        (None, Some(url)) => Config::new(url.parse()?),
        (None, None) => Config::incluster().map_err(|_| {
            "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable"
        })?,
    };
    if let Some(url) = master {
        config.cluster_url = url.parse()?;
    }
    Ok(Client::try_from(config)?)
}

async fn read(path: &Path) -> Result<Config, Failure> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}
