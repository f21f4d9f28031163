//! The routed pod network.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use kube_node::network::{NetworkConfig, RoutedNetwork};
use kube_node::seam::{NetworkPlugin, PodNetwork, PortMapping, Protocol, Runtime, SandboxFilter, SandboxId};

use super::node::{HostNetwork, Node, in_network, skip};

/// Serves one connection in a network namespace: answers with the peer's address.
fn serve(netns: &Path) -> (u16, std::thread::JoinHandle<()>) {
    let listener = in_network(netns, || TcpListener::bind("0.0.0.0:0").unwrap()).join().unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut socket, peer) = listener.accept().unwrap();
        socket.write_all(peer.ip().to_string().as_bytes()).unwrap();
    });
    (port, server)
}

/// Connects from a network namespace and returns the answer: whom the server saw.
fn ask(netns: &Path, address: IpAddr, port: u16) -> String {
    let ask = move || {
        let mut socket =
            TcpStream::connect_timeout(&SocketAddr::new(address, port), std::time::Duration::from_secs(10))
                .unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        text
    };
    in_network(netns, ask).join().unwrap()
}

#[tokio::test]
async fn root_pods_and_the_host_reach_each_other() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let (one, two) = (node.sandbox("one").await.0, node.sandbox("two").await.0);
    let netns = |id: &SandboxId| node.dir.path().join("run/netns").join(&id.0);
    let statuses = node.runtime.sandboxes(&SandboxFilter::default()).await.unwrap();
    let address = |id: &SandboxId| statuses.iter().find(|status| status.id == *id).unwrap().ips[0];
    let (port, server) = serve(&netns(&two));
    assert_eq!(
        ask(&netns(&one), address(&two), port),
        address(&one).to_string(),
        "pod to pod keeps the pod's address"
    );
    server.join().unwrap();
    let (port, server) = serve(&netns(&two));
    assert_eq!(ask(&node.host.path, address(&two), port), "10.99.0.1", "the host is the gateway");
    server.join().unwrap();
    let (port, server) = serve(&node.host.path);
    assert_eq!(
        ask(&netns(&one), "10.99.0.1".parse().unwrap(), port),
        address(&one).to_string(),
        "pod to host"
    );
    server.join().unwrap();
    node.finish().await;
}

#[tokio::test]
async fn root_a_host_port_leads_into_the_pod() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let other = node.sandbox("other").await.0;
    let mut config = node.pod("web");
    config.port_mappings =
        vec![PortMapping { protocol: Protocol::Tcp, container_port: 8080, host_port: 80, host_ip: None }];
    let web = node.runtime.run_sandbox(&config).await.unwrap();
    let netns = |id: &SandboxId| node.dir.path().join("run/netns").join(&id.0);
    let listener = in_network(&netns(&web), || TcpListener::bind("0.0.0.0:8080").unwrap()).join().unwrap();
    let server = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"web").unwrap());
    assert_eq!(ask(&netns(&other), "10.99.0.1".parse().unwrap(), 80), "web");
    server.join().unwrap();
    node.finish().await;
}

fn pod(name: &str, netns: &Path) -> PodNetwork {
    PodNetwork {
        sandbox: SandboxId(name.into()),
        netns: netns.to_owned(),
        interface: "eth0".into(),
        ..PodNetwork::default()
    }
}

pub(super) async fn open(dir: &Path, host: &HostNetwork) -> RoutedNetwork {
    let mut config = NetworkConfig::new(dir.to_owned());
    config.host_netns = Some(host.path.clone());
    let network = RoutedNetwork::open(config).unwrap();
    network.configure(&["10.98.0.0/24".parse().unwrap()]).await.unwrap();
    network
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn root_a_hundred_pods_at_once_get_a_hundred_addresses() {
    if skip() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let host = HostNetwork::new();
    let network = Arc::new(open(dir.path(), &host).await);
    let pods: Vec<(HostNetwork, String)> =
        (0..100).map(|number| (HostNetwork::new(), format!("pod-{number}"))).collect();
    let adds = pods.iter().map(|(netns, name)| {
        let (network, pod) = (network.clone(), pod(name, &netns.path));
        tokio::spawn(async move { network.add(&pod).await.unwrap().ips[0] })
    });
    let addresses: BTreeSet<_> =
        futures::future::join_all(adds).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(addresses.len(), 100);
    let first = pod(&pods[0].1, &pods[0].0.path);
    network.check(&first).await.unwrap();
    // Again, and by another instance over the same leases: the same address.
    let again = open(dir.path(), &host).await;
    assert_eq!(again.add(&first).await.unwrap(), network.add(&first).await.unwrap());
    for (netns, name) in &pods {
        let pod = pod(name, &netns.path);
        network.remove(&pod).await.unwrap();
        network.remove(&pod).await.unwrap();
    }
    assert!(network.check(&first).await.is_err());
    assert_eq!(std::fs::read_dir(dir.path().join("leases")).unwrap().count(), 0);
    let links = in_network(&host.path, || std::fs::read_to_string("/proc/thread-self/net/dev").unwrap())
        .join()
        .unwrap();
    assert!(!links.contains("kube"), "an interface is left: {links}");
}

#[tokio::test]
async fn root_a_pod_whose_namespace_is_gone_can_be_removed() {
    if skip() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let host = HostNetwork::new();
    let network = open(dir.path(), &host).await;
    let netns = HostNetwork::new();
    let pod = pod("web", &netns.path);
    network.add(&pod).await.unwrap();
    drop(netns);
    network.remove(&pod).await.unwrap();
    network.remove(&PodNetwork { netns: "/no/such/namespace".into(), ..pod }).await.unwrap();
}

#[tokio::test]
async fn a_network_without_a_range_is_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    let network = RoutedNetwork::open(NetworkConfig::new(dir.path().to_owned())).unwrap();
    assert!(!network.ready().await.unwrap().ready);
    assert!(network.configure(&["10.0.0.0/31".parse().unwrap()]).await.is_err());
    assert!(network.configure(&["fd00::/64".parse().unwrap()]).await.is_err());
}
