use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Patch, PatchParams};
use kube_netproxy::dns;
use serde_json::json;
use tokio::net::{TcpListener, UdpSocket};

use super::control_plane::{ControlPlane, nth, until};
use super::{Flags, Parts, objects};
use crate::Failure;
use crate::progress::Progress;

/// The port on the node; port 53 may be somebody else's.
const PORT: u16 = 10053;
/// The address of the Service in its range, as `kubeadm` chooses it.
const SERVICE_INDEX: u32 = 10;

/// Serves cluster DNS behind the Service `kube-system/kube-dns`; the Service's address. A node without an address that pods could
/// reach goes without.
pub(super) async fn start(
    flags: &Flags,
    control_plane: &ControlPlane,
    parts: &mut Parts,
    progress: &mut Progress,
) -> Result<Option<IpAddr>, Failure> {
    let node_ip = flags.node_ip();
    if node_ip.is_loopback() {
        progress
            .say("  this machine has no address but loopback: pods go without cluster DNS (see --node-ip)");
        return Ok(None);
    }
    let address =
        nth(flags.service_cidr, SERVICE_INDEX).ok_or("the service range is too small for cluster DNS")?;
    publish(control_plane, address, node_ip).await?;
    let (udp, tcp) = (UdpSocket::bind((node_ip, PORT)).await?, TcpListener::bind((node_ip, PORT)).await?);
    let config = dns::Config { upstreams: upstreams(), ..dns::Config::default() };
    let server = dns::Dns::new(control_plane.client("system:kube-dns", &["system:masters"]), config)?;
    let ready = server.ready();
    parts.spawn("cluster DNS", server.run(udp, tcp, parts.shutdown.clone()));
    until(ready).await?;
    progress.ready("cluster DNS", &format!("{address}, for cluster.local"));
    Ok(Some(address))
}

/// The name servers of this machine.
fn upstreams() -> Vec<SocketAddr> {
    let resolv = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers =
        resolv.lines().filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok());
    servers.map(|ip: IpAddr| SocketAddr::new(ip, 53)).collect()
}

async fn publish(control_plane: &ControlPlane, address: IpAddr, node_ip: IpAddr) -> Result<(), Failure> {
    let client = control_plane.client("kubernetes-admin", &["system:masters"]);
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns", "labels": {"k8s-app": "kube-dns"}},
        "spec": {"clusterIP": address, "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": PORT},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": PORT}]}});
    let services = objects::namespaced::<Service>(&client, "kube-system");
    // Looked for first: for an address that is taken, and be it by this very Service, creating it again is an error of its own.
    if services.get_opt("kube-dns").await?.is_none() {
        objects::create(&services, service).await?;
    }
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "kube-dns-node", "labels": {"kubernetes.io/service-name": "kube-dns",
            "endpointslice.kubernetes.io/managed-by": "cluster"}},
        "endpoints": [{"addresses": [node_ip], "conditions": {"ready": true}}],
        "ports": [{"name": "dns", "port": PORT, "protocol": "UDP"}, {"name": "dns-tcp", "port": PORT, "protocol": "TCP"}]});
    let slices = objects::namespaced::<EndpointSlice>(&client, "kube-system");
    if !objects::create(&slices, slice.clone()).await? {
        slices.patch("kube-dns-node", &PatchParams::default(), &Patch::Merge(slice)).await?;
    }
    Ok(())
}
