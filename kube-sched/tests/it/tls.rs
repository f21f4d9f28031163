//! An extender over TLS: a real handshake with certificates of an authority made for the test.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use kube_api::pki::{Identity, Pki, Subject};
use kube_api::serve::{ClientCertificate, ServeConfig, serve, tls_config};
use kube_sched::framework::Registry;
use kube_sched::{Config, Extender, Settings};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::FakeApi;
use crate::{node, pod, run_with, written};

/// An extender that lets every pod go to `n1`, and writes down who asked.
struct Served {
    address: SocketAddr,
    askers: Arc<Mutex<Vec<Option<String>>>>,
    shutdown: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn authority(dir: &tempfile::TempDir, name: &str) -> Pki {
    Pki::open(dir.path().join(name), jiff::Timestamp::now()).expect("an authority")
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Serves as an identity of `server` and trusts clients of the same authority.
async fn serving(server: &Pki) -> Served {
    let ip = IpAddr::from([127, 0, 0, 1]);
    let identity = server.server("extender", "extender", &["extender.test"], &[ip]).expect("an identity");
    let tls = tls_config(&identity, server.ca_pem()).expect("it fits together");
    let listener = tokio::net::TcpListener::bind((ip, 0)).await.expect("a port");
    let (address, shutdown) = (listener.local_addr().expect("an address"), CancellationToken::new());
    let askers = Arc::<Mutex<Vec<_>>>::default();
    let log = Arc::clone(&askers);
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let asker = request.extensions().get::<ClientCertificate>();
        log.lock().push(asker.map(|certificate| certificate.common_name.clone()));
        async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(r#"{"NodeNames":["n1"]}"#)))) }
    });
    tokio::spawn(serve(listener, tls, service, ServeConfig::default(), shutdown.clone()));
    Served { address, askers, shutdown }
}

/// Has a pod scheduled with the extender at `url`, trusted as `tls` says; what is written in the end about the pod.
async fn schedule(url: &str, tls: Value, done: &str) -> (FakeApi, Vec<Value>) {
    let document = json!({"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
        "extenders": [{"urlPrefix": url, "filterVerb": "filter", "nodeCacheCapable": true, "enableHTTPS": true, "tlsConfig": tls}]});
    let settings = Settings::from_yaml(&document.to_string(), &Registry::default()).expect("valid");
    let mut config: Config = settings.scheduler;
    for extender in settings.extenders {
        config.extenders.push(Extender::connect(extender).await.expect("a client"));
    }
    let api = FakeApi::new(vec![node("n1", "4"), node("n2", "4")], vec![pod("p", "1", "default-scheduler")]);
    run_with(config, &api, |api| !written(api, "POST", done).is_empty()).await;
    let found = written(&api, "POST", done);
    (api, found)
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

#[tokio::test]
async fn an_extender_of_a_trusted_authority_is_asked() {
    let dir = dir();
    let ours = authority(&dir, "ours");
    let extender = serving(&ours).await;
    let url = format!("https://{}", extender.address);
    let (_, bound) = schedule(&url, json!({"caData": base64(ours.ca_pem())}), "/binding").await;
    assert_eq!(bound[0]["target"]["name"], "n1");
    assert_eq!(*extender.askers.lock(), [None], "no certificate was shown");
}

#[tokio::test]
async fn an_extender_of_another_authority_is_not_asked() {
    let dir = dir();
    let (ours, theirs) = (authority(&dir, "ours"), authority(&dir, "theirs"));
    let extender = serving(&theirs).await;
    let url = format!("https://{}", extender.address);
    let (api, events) = schedule(&url, json!({"caData": base64(ours.ca_pem())}), "/events").await;
    assert_eq!(events[0]["reason"], "FailedScheduling", "{}", events[0]);
    assert!(written(&api, "POST", "/binding").is_empty());
    assert!(extender.askers.lock().is_empty(), "the handshake failed");
    // Unless anybody is trusted.
    let (_, bound) = schedule(&url, json!({"insecure": true}), "/binding").await;
    assert_eq!(bound[0]["target"]["name"], "n1");
}

#[tokio::test]
async fn the_name_must_be_that_of_the_certificate() {
    let dir = dir();
    let ours = authority(&dir, "ours");
    let extender = serving(&ours).await;
    let url = format!("https://{}", extender.address);
    let trust = |name: &str| json!({"caData": base64(ours.ca_pem()), "serverName": name});
    let (_, bound) = schedule(&url, trust("extender.test"), "/binding").await;
    assert_eq!(bound[0]["target"]["name"], "n1");
    let (_, events) = schedule(&url, trust("somebody.else"), "/events").await;
    assert_eq!(events[0]["reason"], "FailedScheduling");
    assert_eq!(extender.askers.lock().len(), 1);
}

#[tokio::test]
async fn the_extender_learns_from_our_certificate_who_we_are() {
    let dir = dir();
    let ours = authority(&dir, "ours");
    let extender = serving(&ours).await;
    let url = format!("https://{}", extender.address);
    let subject = Subject::new("system:kube-scheduler");
    let Identity { cert_pem, key_pem } = ours.client("scheduler", &subject).expect("an identity");
    let data =
        json!({"caData": base64(ours.ca_pem()), "certData": base64(&cert_pem), "keyData": base64(&key_pem)});
    schedule(&url, data, "/binding").await;
    // The same from files, as they are written by the authority.
    let file = |name: &str| ours.dir().join(name).display().to_string();
    let files = json!({"caFile": file("ca.crt"), "certFile": file("scheduler.crt"), "keyFile": file("scheduler.key")});
    schedule(&url, files, "/binding").await;
    let us = Some("system:kube-scheduler".to_owned());
    assert_eq!(*extender.askers.lock(), [us.clone(), us]);
}
