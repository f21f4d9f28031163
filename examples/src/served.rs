//! An API server of this process, for another one.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use kube_api::ApiServer;
use kube_api::pki::{Pki, Subject, kubeconfig};
use kube_api::serve::{ServeConfig, serve, tls_config};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Failure;

/// Serves `api` over TLS at some port of loopback until `stop`, and writes a kubeconfig of a user into `dir`, where the certificates go
/// too; answers where the kubeconfig is.
///
/// # Errors
/// If nobody can listen there, or the folder cannot be written.
pub async fn to_user(
    user: &str,
    api: &ApiServer,
    dir: &Path,
    stop: CancellationToken,
) -> Result<PathBuf, Failure> {
    let pki = Pki::open(dir.join("pki"), jiff::Timestamp::now())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let identity = pki.server("apiserver", "kube-apiserver", &["localhost"], &[address.ip()])?;
    let tls = tls_config(&identity, pki.ca_pem())?;
    tokio::spawn(serve(listener, tls, api.clone(), ServeConfig::default(), stop));
    let client = pki.client("user", &Subject::new(user))?;
    let path = dir.join("kubeconfig");
    std::fs::write(&path, kubeconfig(&format!("https://{address}"), pki.ca_pem(), &client, user))?;
    Ok(path)
}
