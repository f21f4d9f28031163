use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use kube_node::runtime::fake::{FakeRuntime, Script};
use kube_node::seam::{ContainerConfig, ContainerId, PodRef, Runtime, SandboxConfig, SandboxId};
use kube_node::server::{Allowed, Peer};
use kube_node::{Clock, KubeletServer};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tower::Service;

/// What the clock of the tests says.
pub(crate) const NOW: &str = "2026-01-01T00:01:00Z";

/// The interface of a node with the pod `default/web`, whose container `app` runs.
pub(crate) struct Node {
    pub(crate) runtime: FakeRuntime,
    pub(crate) logs: tempfile::TempDir,
    pub(crate) app: ContainerId,
    server: KubeletServer,
    pod: (SandboxId, SandboxConfig),
}

/// Who the API server is.
pub(crate) fn api_server() -> Option<Peer> {
    Some(Peer { user: "kube-apiserver-kubelet-client".into(), groups: Vec::new() })
}

impl Node {
    pub(crate) async fn start(script: Script) -> Self {
        let clock = Clock::starting_at(NOW.parse().unwrap());
        let runtime = FakeRuntime::new(clock, vec!["10.1.0.0/24".parse().unwrap()]);
        runtime.script("app", script);
        runtime.images().pull("app", None).await.unwrap();
        let logs = tempfile::tempdir().unwrap();
        let config = SandboxConfig {
            pod: PodRef { namespace: "default".into(), name: "web".into(), uid: "uid".into() },
            log_dir: logs.path().to_owned(),
            ..SandboxConfig::default()
        };
        let pod = (runtime.run_sandbox(&config).await.unwrap(), config);
        let server = KubeletServer::new(Arc::new(runtime.clone()), clock, Allowed::default());
        let mut node = Self { runtime, logs, app: ContainerId::default(), server, pod };
        node.app = node.run(0).await;
        node
    }

    /// Starts an instance of the container.
    pub(crate) async fn run(&self, attempt: u32) -> ContainerId {
        let label = |name: &str, value: &str| (format!("io.kubernetes.{name}"), value.to_owned());
        let config = ContainerConfig {
            name: "app".into(),
            attempt,
            user_image: "app".into(),
            log_path: format!("{attempt}.log").into(),
            labels: [
                label("pod.namespace", "default"),
                label("pod.name", "web"),
                label("container.name", "app"),
            ]
            .into(),
            ..ContainerConfig::default()
        };
        let id = self.runtime.create_container(&self.pod.0, &config, &self.pod.1).await.unwrap();
        self.runtime.start_container(&id).await.unwrap();
        id
    }

    /// A connection to the interface, of this client.
    fn connect(&self, peer: Option<Peer>) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 << 10);
        let mut server = self.server.clone();
        let service = tower::service_fn(move |mut request: Request<Incoming>| {
            // As the caller does who has verified the client's certificate.
            peer.clone().into_iter().for_each(|peer| drop(request.extensions_mut().insert(peer)));
            server.call(request)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(far), TowerToHyperService::new(service))
            .with_upgrades();
        tokio::spawn(connection);
        near
    }

    /// Asks without an upgrade.
    pub(crate) async fn ask(&self, method: Method, path: &str, peer: Option<Peer>) -> Response<Incoming> {
        let stream = TokioIo::new(self.connect(peer));
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "node");
        sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()
    }

    /// Asks, and reads the whole answer.
    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        text(self.ask(Method::GET, path, api_server()).await).await
    }

    /// Opens a session that speaks one of `protocols`, or says why it can't be.
    pub(crate) async fn open(
        &self,
        path: &str,
        protocols: &'static str,
    ) -> Result<Session, (StatusCode, String)> {
        let mut request = format!("ws://node{path}").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
        match tokio_tungstenite::client_async(request, self.connect(api_server())).await {
            Ok((socket, answer)) => {
                let protocol = answer.headers()["sec-websocket-protocol"].to_str().unwrap().to_owned();
                Ok(Session { socket, protocol })
            }
            Err(Error::Http(answer)) => {
                let body = answer.body().clone().unwrap_or_default();
                Err((answer.status(), String::from_utf8(body).unwrap()))
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The whole of an answer.
pub(crate) async fn text(answer: Response<Incoming>) -> (StatusCode, String) {
    let status = answer.status();
    let body = within(answer.into_body().collect()).await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// A WebSocket that speaks Kubernetes' channels.
pub(crate) struct Session {
    socket: WebSocketStream<DuplexStream>,
    pub(crate) protocol: String,
}

impl Session {
    pub(crate) async fn send(&mut self, channel: u8, data: &[u8]) {
        let message = [&[channel], data].concat();
        self.socket.send(Message::Binary(message.into())).await.unwrap();
    }

    /// The next message: its channel and what it says.
    pub(crate) async fn next(&mut self) -> (u8, String) {
        let message = within(self.socket.next()).await.unwrap().unwrap();
        assert!(message.is_binary(), "{message:?}");
        let data = message.into_data();
        (data[0], String::from_utf8(data[1..].to_vec()).unwrap())
    }

    /// What is left: all of the outputs by channel, and the status. The connection is closed as it should be.
    pub(crate) async fn rest(mut self) -> ([String; 2], serde_json::Value) {
        let mut outputs = [String::new(), String::new()];
        let status = loop {
            match self.next().await {
                (channel @ (1 | 2), text) => outputs[usize::from(channel) - 1].push_str(&text),
                (3, text) => break serde_json::from_str(&text).unwrap(),
                other => panic!("{other:?}"),
            }
        };
        match within(self.socket.next()).await.unwrap().unwrap() {
            Message::Close(Some(frame)) => assert_eq!(frame.code, CloseCode::Normal),
            other => panic!("{other:?}"),
        }
        (outputs, status)
    }
}

/// Waits for what must not take for ever.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("an answer in time")
}
