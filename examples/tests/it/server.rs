//! An API server in this process that others reach over TLS.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, ServiceAccount};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube_api::pki::{Identity, Pki, Subject, kubeconfig};
use kube_api::serve::{ServeConfig, serve, tls_config};
use kube_api::{ApiServer, User};
use kube_store::MemoryStore;
use serde_json::{from_value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A server with its certificates and the folder for everything a test writes.
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) address: String,
    pki: Pki,
    dir: tempfile::TempDir,
    _serving: DropGuard,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::open(dir.path().join("pki"), jiff::Timestamp::now()).unwrap();
        let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = kube_api::Config {
            advertise_address: LOOPBACK,
            advertise_port: port,
            service_account_key: Some(pki.service_account_key().into()),
            ..kube_api::Config::default()
        };
        let api = ApiServer::builder(Arc::new(MemoryStore::new())).config(config).build().await.unwrap();
        let client = Client::new(api.as_user(User::admin()), "default");
        let identity = pki.server("apiserver", "kube-apiserver", &["localhost"], &[LOOPBACK]).unwrap();
        let tls = tls_config(&identity, pki.ca_pem()).unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(serve(listener, tls, api, ServeConfig::default(), shutdown.clone()));
        let address = format!("https://127.0.0.1:{port}");
        Self { client, address, pki, dir, _serving: shutdown.drop_guard() }
    }

    /// Where a file of the test lies.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file with this text.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The kubeconfig of a user, for the server at an address.
    pub(crate) fn kubeconfig(&self, user: &str, address: &str) -> PathBuf {
        let identity = self.pki.client(&user.replace(':', "-"), &Subject::new(user)).unwrap();
        self.write(
            &format!("{}.kubeconfig", user.replace(':', "-")),
            &kubeconfig(address, self.pki.ca_pem(), &identity, user),
        )
    }

    /// Files with a certificate and its key for something that serves on loopback.
    pub(crate) fn serving(&self) -> (PathBuf, PathBuf) {
        let Identity { cert_pem, key_pem } =
            self.pki.server("component", "component", &["localhost"], &[LOOPBACK]).unwrap();
        (self.write("component.crt", &cert_pem), self.write("component.key", &key_pem))
    }

    /// A client of something on loopback that serves with such a certificate.
    pub(crate) fn component(&self, port: u16, token: Option<&str>) -> Client {
        let mut config = kube::Config::new(format!("https://127.0.0.1:{port}").parse().unwrap());
        let (_, der) = pem_of(&self.write("ca.crt", self.pki.ca_pem()));
        config.root_cert = Some(vec![der]);
        config.auth_info.token = token.map(|token| token.to_owned().into());
        Client::try_from(config).unwrap()
    }
}

/// Creates an object in the default namespace.
pub(crate) async fn create<K>(client: &Client, object: serde_json::Value)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    let api: Api<K> = Api::default_namespaced(client.clone());
    api.create(&PostParams::default(), &from_value(object).unwrap()).await.unwrap();
}

/// A node that takes pods.
pub(crate) async fn node(client: &Client) {
    let allocatable = json!({"cpu": "8", "memory": "8Gi", "pods": "110"});
    let node = json!({"metadata": {"name": "n"}, "status": {"allocatable": allocatable}});
    let nodes: Api<Node> = Api::all(client.clone());
    nodes.create(&PostParams::default(), &from_value(node).unwrap()).await.unwrap();
    let patch = Patch::Merge(json!({"spec": {"taints": null}}));
    nodes.patch("n", &PatchParams::default(), &patch).await.unwrap();
    create::<ServiceAccount>(client, json!({"metadata": {"name": "default"}})).await;
}

/// Waits until a pod has a node.
pub(crate) async fn bound(client: &Client, name: &str) -> Pod {
    let has_node = |pod: Option<&Pod>| {
        pod.is_some_and(|pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()))
    };
    let bound = await_condition(Api::<Pod>::default_namespaced(client.clone()), name, has_node);
    tokio::time::timeout(PATIENCE, bound).await.expect("in time").unwrap().unwrap()
}

/// The first certificate of a PEM file.
fn pem_of(path: &Path) -> (String, Vec<u8>) {
    use base64::Engine;
    let text = std::fs::read_to_string(path).unwrap();
    let body: String = text.lines().skip(1).take_while(|line| !line.starts_with("-----")).collect();
    (text, base64::engine::general_purpose::STANDARD.decode(body).unwrap())
}
