//! What else the port of the server does: HTTP for probes and metrics, and TLS.

use std::sync::Arc;

use futures::StreamExt;
use kube_store::{Config, EtcdServer, EtcdStore, Member, MemoryStore, Store, StoreExt, WatchRequest};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::peer::{scratch, skip};

/// The status line and the body that a path answers.
pub(crate) async fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nHost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_probes_and_prometheus() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let store = Arc::new(MemoryStore::new());
    store.put("a", "1").await.unwrap();
    tokio::spawn(EtcdServer::new(store, Member::default()).serve(listener, CancellationToken::new()));
    for (path, status, body) in [
        ("/health", "200 OK", "{\"health\":\"true\",\"reason\":\"\"}"),
        ("/livez", "200 OK", "ok\n"),
        (
            "/readyz?verbose",
            "200 OK",
            "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n",
        ),
        (
            "/readyz?verbose&exclude=data_corruption&exclude=linearizable_read",
            "200 OK",
            "[+]serializable_read ok\n[+]non_learner ok\nok\n",
        ),
        ("/readyz/linearizable_read?verbose", "200 OK", "[+]linearizable_read ok\nok\n"),
        ("/livez/serializable_read", "200 OK", "ok\n"),
        ("/livez/linearizable_read", "404 Not Found", "404 page not found\n"),
        ("/version", "200 OK", "{\"etcdserver\":\"3.5.21\",\"etcdcluster\":\"3.5.0\"}"),
        ("/other", "404 Not Found", "404 page not found\n"),
    ] {
        assert_eq!(get(&address, path).await, (format!("HTTP/1.0 {status}"), body.to_owned()), "{path}");
    }
    let (_, metrics) = get(&address, "/metrics").await;
    for line in [
        "etcd_server_has_leader 1",
        "etcd_debugging_mvcc_keys_total 1",
        "etcd_debugging_mvcc_current_revision 2",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
}

/// For the probes of load balancers, and of Kubernetes.
#[tokio::test(flavor = "multi_thread")]
async fn answers_grpc_probes() {
    let channel = crate::users::serve(EtcdServer::new(Arc::new(MemoryStore::new()), Member::default())).await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    let mut check = async |service: &str| {
        let request = tonic_health::pb::HealthCheckRequest { service: service.into() };
        health.check(request).await.map(|answer| answer.into_inner().status()).map_err(|status| status.code())
    };
    assert_eq!(check("").await, Ok(tonic_health::pb::health_check_response::ServingStatus::Serving));
    assert_eq!(check("other").await, Err(tonic::Code::NotFound));
}

/// Whoever has stopped a server may open its data directory again.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_holds_the_store_once_serving_has_ended() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (store, stop) = (Arc::new(MemoryStore::new()), CancellationToken::new());
    let server = EtcdServer::new(store.clone(), Member::default());
    let serving = tokio::spawn(server.serve(listener, stop.clone()));
    let _silent = TcpStream::connect(&address).await.unwrap();
    let mut idle = TcpStream::connect(&address).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    idle.read_u8().await.unwrap();
    let client = EtcdStore::connect(&format!("http://{address}")).await.unwrap();
    let _watch = client.watch(WatchRequest::key("a")).await.unwrap();
    stop.cancel();
    serving.await.unwrap().unwrap();
    assert_eq!(Arc::strong_count(&store), 1);
}

/// kubeadm's liveness probe must not end a server that is only full.
#[tokio::test(flavor = "multi_thread")]
async fn a_probe_can_leave_out_alarms() {
    let store = Arc::new(MemoryStore::with_config(Config { quota_bytes: 500, ..Config::default() }).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(EtcdServer::new(store, Member::default()).serve(listener, CancellationToken::new()));
    let client = EtcdStore::connect(format!("http://{address}")).await.unwrap();
    client.put("a", "1").await.unwrap();
    assert!(client.put("a", "1").await.is_err(), "it is full");
    let full = "{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}";
    assert_eq!(
        get(&address, "/health").await,
        ("HTTP/1.0 503 Service Unavailable".to_owned(), full.to_owned())
    );
    assert_eq!(get(&address, "/health?exclude=CORRUPT").await.1, full);
    for path in ["/health?exclude=NOSPACE&serializable=true", "/livez", "/readyz"] {
        assert_eq!(get(&address, path).await.0, "HTTP/1.0 200 OK", "{path}");
    }
}

/// An authority with a certificate that it made for this machine.
pub(crate) struct Identity {
    pub(crate) authority: String,
    pub(crate) certificate: String,
    pub(crate) key: KeyPair,
    root: rustls::pki_types::CertificateDer<'static>,
    chain: rustls::pki_types::CertificateDer<'static>,
}

pub(crate) fn identity() -> Identity {
    certified("anybody")
}

/// One whose certificate has this common name.
pub(crate) fn certified(name: &str) -> Identity {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    leaf.distinguished_name = DistinguishedName::new();
    leaf.distinguished_name.push(DnType::CommonName, name);
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    Identity {
        authority: authority.pem(),
        certificate: leaf.pem(),
        key,
        root: authority.der().clone(),
        chain: leaf.der().clone(),
    }
}

/// Shows the one's certificate and wants the other's.
pub(crate) fn config(server: &Identity, clients: &Identity) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.root.clone()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
    let key = PrivateKeyDer::try_from(server.key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.chain.clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_need_the_certificate_of_the_moment() {
    let (first, second, client, stranger) = (identity(), identity(), identity(), identity());
    let dir = scratch();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (old, new) = (file("old.pem", &first.authority), file("new.pem", &second.authority));
    let pair = |name: &str, of: &Identity| {
        [file(&format!("{name}.crt"), &of.certificate), file(&format!("{name}.key"), &of.key.serialize_pem())]
    };
    let (known, unknown) = (pair("known", &client), pair("unknown", &stranger));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    let (sender, tls) = watch::channel(config(&first, &client));
    let server = EtcdServer::new(Arc::new(MemoryStore::new()), Member::default());
    tokio::spawn(server.serve_tls(listener, tls, CancellationToken::new()));
    let put = async |authority: &str, pair: Option<&[String; 2]>| {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &endpoint, "--cacert", authority]);
        command.args(["--command-timeout", "2s", "--dial-timeout", "1s"]);
        if let Some([certificate, key]) = pair {
            command.args(["--cert", certificate, "--key", key]);
        }
        command.args(["put", "a", "1"]).output().await.map(|output| output.status.success())
    };
    let Ok(first_put) = put(&old, Some(&known)).await else {
        return skip("etcdctl is not installed (apt-get install etcd-client)");
    };
    assert!(first_put);
    assert!(!put(&old, None).await.unwrap(), "without a certificate");
    assert!(!put(&old, Some(&unknown)).await.unwrap(), "with one of another authority");
    assert!(!put(&new, Some(&known)).await.unwrap(), "to a server of another authority");
    sender.send_replace(config(&second, &client));
    assert!(put(&new, Some(&known)).await.unwrap(), "after the certificate was replaced");
    assert!(!put(&old, Some(&known)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_does_not_keep_a_server_that_is_told_to_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (store, shutdown) = (Arc::new(MemoryStore::new()), CancellationToken::new());
    let serving = tokio::spawn(EtcdServer::new(store, Member::default()).serve(listener, shutdown.clone()));
    let client = EtcdStore::connect(endpoint).await.unwrap();
    let mut watch = client.watch(WatchRequest::prefix("")).await.unwrap();
    shutdown.cancel();
    assert!(!matches!(watch.next().await, Some(Ok(_))));
    serving.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_can_be_served_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (server, shutdown) =
        (EtcdServer::new(Arc::new(MemoryStore::new()), Member::default()), CancellationToken::new());
    let serving = tokio::spawn(server.serve_pages(listener, None, shutdown.clone()));
    assert_eq!(get(&address, "/health").await.1, "{\"health\":\"true\",\"reason\":\"\"}");
    assert!(get(&address, "/metrics").await.1.contains("etcd_server_has_leader 1\n"));
    let client = EtcdStore::connect(format!("http://{address}")).await.unwrap();
    assert!(client.put("a", "1").await.is_err(), "keys are not served there");
    drop(client);
    shutdown.cancel();
    serving.await.unwrap().unwrap();
}
