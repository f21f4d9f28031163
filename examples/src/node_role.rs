//! What a node's process needs beside the agent: the embedded runtime with its network, and the agent's HTTP interface over TLS.

use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;
use kube_api::pki::Identity;
use kube_api::serve::{ClientCertificate, ServeConfig, serve, tls_config};
use kube_node::Clock;
use kube_node::network::{NetworkConfig, RoutedNetwork};
use kube_node::runtime::embedded::{EmbeddedConfig, EmbeddedRuntime};
use kube_node::seam::Runtime;
use kube_node::server::{Allowed, KubeletServer, Peer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{Failure, demo_image};

/// The embedded runtime over `dir`, with its pod network and the demo image.
///
/// # Errors
/// Without root, or if the folder can't be used.
pub async fn open_embedded(dir: &Path, cluster_cidrs: &[IpNet]) -> Result<EmbeddedRuntime, Failure> {
    let network =
        NetworkConfig { cluster_cidrs: cluster_cidrs.to_vec(), ..NetworkConfig::new(dir.join("network")) };
    let network = Arc::new(RoutedNetwork::open(network)?);
    let runtime = EmbeddedRuntime::open(EmbeddedConfig::new(dir.to_owned(), network)).await?;
    demo_image::build(runtime.image_store()).await?;
    Ok(runtime)
}

/// Listens on `port` and returns the future that serves logs and exec there to clients whose certificate `ca_pem` signed.
///
/// # Errors
/// If the port is taken or the certificates do not fit.
pub async fn serve_kubelet(
    runtime: Arc<dyn Runtime>,
    identity: &Identity,
    ca_pem: &str,
    port: u16,
    shutdown: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + use<>, Failure> {
    let tls = tls_config(identity, ca_pem)?;
    let listener =
        TcpListener::bind(("0.0.0.0", port)).await.map_err(|error| format!("port {port}: {error}"))?;
    let server = KubeletServer::new(runtime, Clock::system(), Allowed::default());
    let service = server.map_request(|mut request: http::Request<_>| {
        if let Some(certificate) = request.extensions_mut().remove::<ClientCertificate>() {
            let peer = Peer { user: certificate.common_name, groups: certificate.organizations };
            request.extensions_mut().insert(peer);
        }
        request
    });
    Ok(serve(listener, tls, service, ServeConfig::default(), shutdown))
}
