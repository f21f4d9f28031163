//! The methods of gRPC as JSON over HTTP.

mod differential;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use h2::client::SendRequest;
use kube_store::{EtcdServer, Member, MemoryStore, ServerConfig, StoreExt};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::codegen::http;

use crate::front::{Identity, certified, config, get, identity};
use crate::peer::{scratch, skip};
use crate::planted::{Planted, STUCK};

/// How long to wait for what should come at once.
const PATIENCE: Duration = Duration::from_secs(20);

async fn serve(server: EtcdServer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(server.serve(listener, CancellationToken::new()));
    address
}

async fn serve_empty() -> String {
    let member = Member { name: "default".into(), ..Member::default() };
    let config = ServerConfig { member, bcrypt_cost: 4, ..ServerConfig::default() };
    serve(EtcdServer::with_config(Arc::new(MemoryStore::new()), config)).await
}

/// What HTTP answers: the status, the headers in small letters, and where the body begins.
async fn head(stream: &mut BufReader<TcpStream>) -> (u16, String) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).await.unwrap(), 0, "{head}");
    }
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase())
}

/// Sends a request whose answer will not be cut into pieces.
async fn begin(address: &str, request: &str, headers: &str, body: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request =
        format!("{request} HTTP/1.0\r\nHost: test\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    BufReader::new(stream)
}

/// The status and the body that a path answers.
async fn post(address: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let (status, lines) = lines(address, path, headers, body, usize::MAX).await;
    (status, lines.concat())
}

/// The status and the first lines that a path answers, which may never end. A server that tells fewer, and does not end, has
/// the rest of its time counted as its answer.
async fn lines(address: &str, path: &str, headers: &str, body: &str, count: usize) -> (u16, Vec<String>) {
    let mut stream = begin(address, &format!("POST {path}"), headers, body).await;
    let mut told = Vec::new();
    let mut status = 0;
    let read = async {
        status = head(&mut stream).await.0;
        let mut line = String::new();
        while told.len() < count && stream.read_line(&mut line).await.unwrap() > 0 {
            told.push(std::mem::take(&mut line));
        }
    };
    if tokio::time::timeout(PATIENCE, read).await.is_err() {
        told.push("and it goes on".to_owned());
    }
    (status, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_put_and_read() {
    let address = serve_empty().await;
    let header = r#"{"header":{"cluster_id":"1","member_id":"1","revision":"2","raft_term":"1"}"#;
    let (status, told) = post(&address, "/v3/kv/put", "", r#"{"key":"Zm9v","value":"YmFy"}"#).await;
    assert_eq!((status, told), (200, format!("{header}}}")));
    let mut stream = begin(&address, "POST /v3/kv/range", "", r#"{"key":"Zm9v"}"#).await;
    let (status, headers) = head(&mut stream).await;
    assert_eq!(status, 200);
    for line in ["content-type: application/json\r\n", "grpc-metadata-content-type: application/grpc\r\n"] {
        assert!(headers.contains(line), "{headers}");
    }
    let mut told = String::new();
    stream.read_to_string(&mut told).await.unwrap();
    let kv = r#"{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}"#;
    assert_eq!(told, format!(r#"{header},"kvs":[{kv}],"count":"1"}}"#));
    let (_, metrics) = get(&address, "/metrics").await;
    let labels = "grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"";
    let line = format!("grpc_server_handled_total{{grpc_code=\"OK\",{labels}}} 1");
    assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_says_so() {
    let address = serve_empty().await;
    for (path, body, status, wanted) in [
        ("/v3/kv/range", "", 400, refusal(3, "etcdserver: key is not provided")),
        ("/v3beta/kv/range", "null", 400, refusal(3, "etcdserver: key is not provided")),
        ("/v3/kv/range", "{\"key\"", 400, refusal(3, "unexpected EOF")),
        ("/v3/watch", "{\"create", 500, refusal(2, "unexpected EOF")),
        ("/v3/lease/revoke", r#"{"ID":7}"#, 404, refusal(5, "etcdserver: requested lease not found")),
        ("/v3/election/resign", "{}", 500, refusal(2, "\\\"leader\\\" field must be provided")),
        (
            "/v3/maintenance/downgrade",
            r#"{"action":2}"#,
            400,
            refusal(9, "etcdserver: no inflight downgrade job"),
        ),
        (
            "/v3/maintenance/downgrade",
            r#"{"version":"3.4.0"}"#,
            400,
            refusal(3, "etcdserver: invalid downgrade target version"),
        ),
        ("/v3/kv/other", "{}", 404, "Not Found\n".to_owned()),
        ("/v3/", "{}", 404, "Not Found\n".to_owned()),
    ] {
        assert_eq!(post(&address, path, "", body).await, (status, wanted), "{path} {body}");
    }
    for method in ["GET", "PUT"] {
        let mut stream = begin(&address, &format!("{method} /v3/kv/range"), "", "").await;
        assert_eq!(head(&mut stream).await.0, 405, "{method}");
    }
    let late = "Grpc-Metadata-HasLeader: true\r\nGrpc-Timeout: 1H\r\n";
    let (status, told) = post(&address, "/v3/kv/range", late, r#"{"key":"Zm9v"}"#).await;
    assert!(status == 200 && told.contains("header"), "{status} {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_when_its_client_stops_waiting() {
    let address = crate::planted::serve(Arc::new(Planted::default())).await;
    let body = format!("{{\"key\":\"{}\"}}", STANDARD.encode(STUCK));
    let told = post(&address, "/v3/kv/range", "Grpc-Timeout: 20m\r\n", &body).await;
    assert_eq!(told, (504, refusal(4, "context deadline exceeded")));
}

fn refusal(code: u32, message: &str) -> String {
    format!("{{\"error\":\"{message}\",\"code\":{code},\"message\":\"{message}\"}}")
}

/// A request is bounded as over gRPC; one that would take more as JSON is not read to its end.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused() {
    let address = serve_empty().await;
    let put = |bytes: usize| format!(r#"{{"key":"Zm9v","value":"{}"}}"#, "AAAA".repeat(bytes.div_ceil(3)));
    assert_eq!(post(&address, "/v3/kv/put", "", &put(1 << 20)).await.0, 200);
    let too_large = refusal(3, "etcdserver: request is too large");
    assert_eq!(post(&address, "/v3/kv/put", "", &put(7 << 18)).await, (400, too_large));
    let words = refusal(8, "grpc: received message larger than max (2097163 vs. 2097152)");
    assert_eq!(post(&address, "/v3/kv/put", "", &put(2 << 20)).await, (429, words));
    let mut client = http2(&address).await;
    let request = http::Request::post("http://etcd/v3/kv/put").body(()).unwrap();
    let (response, mut sender) = client.send_request(request, false).unwrap();
    // Not even the end of the key comes.
    sender.send_data(Bytes::from(format!("{{\"key\":\"{}", "A".repeat(5 << 20))), false).unwrap();
    assert_eq!(response.await.unwrap().status(), 429);
}

/// A client that speaks HTTP/2.
async fn http2(address: &str) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A client may send requests while it reads what comes of those before.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_takes_requests_as_they_come() {
    let address = serve_empty().await;
    let mut stream = BufReader::new(TcpStream::connect(&address).await.unwrap());
    let begin = "POST /v3/watch HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(begin.as_bytes()).await.unwrap();
    for (body, wanted) in [
        (r#"{"create_request":{"key":"YQ==","watch_id":5}}"#, r#""watch_id":"5","created":true}}"#),
        (r#" {"createRequest":{"key":"Yg==","watch_id":"6"}}"#, r#""watch_id":"6","created":true}}"#),
        (r#"{"cancel_request":{"watch_id":5}}"#, r#""watch_id":"5","canceled":true}}"#),
    ] {
        // Cut in two.
        let (first, second) = body.split_at(9);
        for part in [first, second] {
            let chunk = format!("{:x}\r\n{part}\r\n", part.len());
            stream.write_all(chunk.as_bytes()).await.unwrap();
        }
        let mut line = String::new();
        while !line.contains("result") {
            line.clear();
            assert_ne!(stream.read_line(&mut line).await.unwrap(), 0);
        }
        assert!(line.ends_with(&format!("{wanted}\n")), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_spoken_too() {
    let address = serve_empty().await;
    let mut client = http2(&address).await;
    for (path, body, status, wanted) in [
        ("kv/put", r#"{"key":"Zm9v","value":"YmFy"}"#, 200, r#""revision":"2""#),
        ("kv/range", r#"{"key":"Zm9v"}"#, 200, r#""value":"YmFy""#),
        ("lease/keepalive", r#"{"ID":"7"}{"ID":"8"}"#, 200, r#""ID":"8"}}"#),
        ("lease/revoke", r#"{"ID":"7"}"#, 404, "lease not found"),
    ] {
        let uri = format!("http://etcd/v3/{path}");
        let request = http::Request::post(uri).header("grpc-timeout", "1H").body(()).unwrap();
        let (response, mut sender) = client.send_request(request, false).unwrap();
        sender.send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        let (mut body, mut told) = (response.into_body(), Vec::new());
        while let Some(data) = body.data().await {
            told.extend_from_slice(&data.unwrap());
        }
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains(wanted), "{path}: {told}");
    }
}

/// Makes the user root, and enables users.
async fn enable_users(address: &str) {
    for (path, body) in [
        ("/v3/auth/user/add", r#"{"name":"root","password":"pw"}"#),
        ("/v3/auth/role/add", r#"{"name":"root"}"#),
        ("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#),
        ("/v3/auth/enable", ""),
    ] {
        let (status, told) = post(address, path, "", body).await;
        assert_eq!(status, 200, "{path}: {told}");
    }
}

/// The header of one who is root.
async fn log_in(address: &str) -> String {
    let (_, told) = post(address, "/v3/auth/authenticate", "", r#"{"name":"root","password":"pw"}"#).await;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    format!("Authorization: {}\r\n", told["token"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_says_who_calls() {
    let address = serve_empty().await;
    enable_users(&address).await;
    let token = log_in(&address).await;
    let own = token.replace("Authorization", "Grpc-Metadata-Token");
    let empty = "etcdserver: user name is empty";
    for (headers, status, wanted) in [
        ("", 400, refusal(3, empty)),
        ("Authorization: other\r\n", 401, refusal(16, "etcdserver: invalid auth token")),
    ] {
        assert_eq!(post(&address, "/v3/kv/put", headers, r#"{"key":"YQ=="}"#).await, (status, wanted));
    }
    for headers in [&token, &own] {
        assert_eq!(post(&address, "/v3/kv/put", headers, r#"{"key":"YQ=="}"#).await.0, 200, "{headers}");
    }
    let refused = format!(
        r#"{{"error":{{"grpc_code":3,"http_code":400,"message":"{empty}","http_status":"Bad Request"}}}}"#
    );
    let (status, told) = post(&address, "/v3/maintenance/snapshot", "", "{}").await;
    assert_eq!((status, told), (400, refused));
    let (status, told) = post(&address, "/v3/maintenance/snapshot", &token, "").await;
    let is_line = |line: &str| line.starts_with(r#"{"result":{"header":{"#) && line.ends_with("}}");
    assert!(status == 200 && told.lines().count() > 1 && told.lines().all(is_line));
    assert_eq!(post(&address, "/v3/auth/status", &token, "{}").await.0, 200);
    let (_, told) = post(&address, "/v3/cluster/member/list", &token, "{}").await;
    assert!(told.ends_with(r#""members":[{"ID":"1","name":"default"}]}"#), "{told}");
}

/// As etcd, which would take it for the gateway's own.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_a_certificate_is_refused_once_there_are_users() {
    let (ours, theirs, unnamed, dir) = (identity(), certified("root"), certified(""), scratch());
    let file = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    file("ca", &ours.authority);
    let store = Arc::new(MemoryStore::new());
    let mut endpoints = Vec::new();
    for (name, client) in [("named", &theirs), ("unnamed", &unnamed)] {
        let Identity { certificate, key, .. } = client;
        file(name, &format!("{certificate}{}", key.serialize_pem()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        endpoints.push(format!("https://{}/v3/kv/range", listener.local_addr().unwrap()));
        let (sender, tls) = watch::channel(config(&ours, client));
        let options = ServerConfig { client_cert_auth: true, ..ServerConfig::default() };
        let server = EtcdServer::with_config(store.clone(), options);
        tokio::spawn(async move {
            let _kept = sender;
            server.serve_tls(listener, tls, CancellationToken::new()).await
        });
    }
    let plain = ServerConfig { bcrypt_cost: 4, ..ServerConfig::default() };
    let plain = serve(EtcdServer::with_config(store.clone(), plain)).await;
    let range = async |name: &str, endpoint: &str, version: &str| {
        let mut command = Command::new("curl");
        command.current_dir(dir.path()).args(["-s", version, "--cacert", "ca", "--cert", name, "-d"]);
        let output = command.args(["{\"key\":\"YQ==\"}", endpoint]).output().await.ok()?;
        Some(String::from_utf8(output.stdout).unwrap())
    };
    let [named, unnamed] = [&endpoints[0], &endpoints[1]];
    let Some(told) = range("named", named, "--http1.1").await else {
        return skip("curl is not installed (apt-get install curl)");
    };
    assert!(told.contains("\"header\""), "{told}");
    enable_users(&plain).await;
    for version in ["--http1.1", "--http2"] {
        let told = range("named", named, version).await.unwrap();
        assert!(told.starts_with("CommonName of client sending a request against gateway"), "{told}");
        let told = range("unnamed", unnamed, version).await.unwrap();
        assert_eq!(told, refusal(3, "etcdserver: user name is empty"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_left_out() {
    let config = ServerConfig { json_gateway: false, ..ServerConfig::default() };
    let store = Arc::new(MemoryStore::new());
    store.put("a", "1").await.unwrap();
    let address = serve(EtcdServer::with_config(store, config)).await;
    let told = post(&address, "/v3/kv/range", "", r#"{"key":"YQ=="}"#).await;
    assert_eq!(told, (404, "404 page not found\n".to_owned()));
}
