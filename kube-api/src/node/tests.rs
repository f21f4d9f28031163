use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

type Heads = Arc<Mutex<Vec<String>>>;

/// An agent in this process: notes the heads it sees, echoes upgraded bytes, refuses upgrades of `/refuse`.
#[derive(Debug, Default)]
struct Agent {
    heads: Heads,
}

async fn agent(heads: Heads, mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    heads.lock().unwrap().push(format!("{} {} {:?}", request.method(), request.uri(), request.headers()));
    let mut response = Response::new(Full::from("agent"));
    if request.uri().path() == "/refuse" {
        *response.status_mut() = StatusCode::FOUND;
        response.headers_mut().insert("location", "http://elsewhere/".parse().unwrap());
    } else if request.headers().contains_key(UPGRADE) {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
            tokio::io::copy(&mut read, &mut write).await.unwrap();
        });
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(CONNECTION, "upgrade".parse().unwrap());
        response.headers_mut().insert(UPGRADE, "echo".parse().unwrap());
        *response.body_mut() = Full::default();
    }
    Ok(response)
}

#[async_trait]
impl NodeConnector for Agent {
    async fn connect(&self, _: &NodeAddress) -> std::io::Result<Box<dyn Connection>> {
        let (near, far) = duplex(4096);
        let heads = self.heads.clone();
        let service = hyper::service::service_fn(move |request| agent(heads.clone(), request));
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(far), service)
                .with_upgrades(),
        );
        Ok(Box::new(near))
    }
}

/// The client's end of a server that forwards everything to `agent`.
fn api(agent: Arc<Agent>) -> DuplexStream {
    let (near, far) = duplex(4096);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let agent = agent.clone();
        let node = NodeAddress { name: "n".into(), host: "192.0.2.1".into(), port: 10250 };
        async move {
            let path = request.uri().to_string();
            forward(agent.as_ref(), &node, &path, request).await
        }
    });
    tokio::spawn(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(far), service)
            .with_upgrades(),
    );
    near
}

async fn exchange(client: &mut DuplexStream, request: &str, until: &str) -> String {
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains(until) {
        let n = client.read_buf(&mut answer).await.unwrap();
        assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn an_upgraded_connection_carries_bytes_both_ways() {
    let mut client = api(Arc::new(Agent::default()));
    let head =
        "GET /exec/a/b/c?command=sh HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n";
    let answer = exchange(&mut client, head, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert_eq!(exchange(&mut client, "\0\u{1}bytes", "bytes").await, "\0\u{1}bytes");
    client.shutdown().await.unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_refused_upgrade_closes_the_connection_and_follows_nothing() {
    let agent = Arc::new(Agent::default());
    let mut client = api(agent.clone());
    let head = "GET /refuse HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\nGET /second HTTP/1.1\r\nhost: x\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 302") && answer.contains("connection: close"), "{answer}");
    let heads = agent.heads.lock().unwrap();
    assert_eq!(heads.len(), 1, "{heads:?}");
}

#[tokio::test]
async fn credentials_stay_behind() {
    let agent = Arc::new(Agent::default());
    let mut client = api(agent.clone());
    let head = "GET /containerLogs/a/b/c HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\nx-remote-user: root\r\nimpersonate-user: root\r\naccept: */*\r\n\r\n";
    assert!(exchange(&mut client, head, "agent").await.starts_with("HTTP/1.1 200"));
    let heads = agent.heads.lock().unwrap().join("");
    assert!(heads.starts_with("GET /containerLogs/a/b/c ") && heads.contains("192.0.2.1:10250"), "{heads}");
    for private in ["secret", "x-remote-user", "impersonate-user"] {
        assert!(!heads.contains(private), "{heads}");
    }
}

#[derive(Debug)]
struct Nobody;

#[async_trait]
impl NodeConnector for Nobody {
    async fn connect(&self, _: &NodeAddress) -> std::io::Result<Box<dyn Connection>> {
        Err(std::io::ErrorKind::ConnectionRefused.into())
    }
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_named() {
    let node = NodeAddress { name: "n".into(), host: "::1".into(), port: 10250 };
    let request = Request::new(Full::<Bytes>::default());
    let error = forward(&Nobody, &node, "/pods", request).await.err().unwrap();
    assert_eq!(error.to_string(), "error dialing backend: [::1]:10250: connection refused");
}
