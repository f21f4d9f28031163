//! `grpc.health.v1.Health/Check`, written by hand: one string in, one enum out.

use bytes::{BufMut, Bytes, BytesMut};
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::{Error, Result};

/// `HealthCheckResponse.SERVING`.
const SERVING: u8 = 1;

/// Asks the service; anything but `SERVING` is a failure.
pub(super) async fn check(host: String, port: u16, service: &str) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| Error::Failed(format!("service unhealthy: {e}"));
    let bare = host.trim_matches(['[', ']']).to_owned();
    let stream = TcpStream::connect((bare, port)).await;
    let stream =
        stream.map_err(|e| Error::Failed(format!("failed to connect service {host}:{port}: {e}")))?;
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|e| failed(&e))?;
    let _driver = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::post(format!("http://{host}:{port}/grpc.health.v1.Health/Check"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, "kube-probe/1.35")
        .body(Full::new(encode(service)))
        .map_err(|e| failed(&e))?;
    let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
    let body = Limited::new(response.into_body(), 1024).collect().await.map_err(|e| failed(&e))?;
    let status = body.trailers().and_then(|t| t.get("grpc-status")).cloned();
    if let Some(code) = status.filter(|s| s != "0") {
        return Err(failed(&format!("rpc status {code:?}")));
    }
    match body.to_bytes().get(5..) {
        Some([0x08, SERVING, ..]) => Ok(()),
        _ => Err(failed(&"responded with \"NOT_SERVING\"")),
    }
}

/// A length-prefixed message whose field 1 is the service's name.
fn encode(service: &str) -> Bytes {
    let name = service.as_bytes().get(..service.len().min(127)).unwrap_or_default();
    let length = if name.is_empty() { 0 } else { name.len() + 2 };
    let mut out = BytesMut::with_capacity(5 + length);
    out.put_u8(0);
    out.put_u32(length as u32);
    if !name.is_empty() {
        out.put_u8(0x0a);
        out.put_u8(name.len() as u8);
        out.put_slice(name);
    }
    out.freeze()
}
