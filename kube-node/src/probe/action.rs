//! One attempt of a probe or a lifecycle handler.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::{
    api::core::v1::{Container, HTTPGetAction, LifecycleHandler, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tokio::net::TcpStream;

use super::super::seam::{ContainerId, Runtime};
use crate::{Error, Result};

/// How much of an answer is read.
const BODY_LIMIT: usize = 10 * 1024;

/// Where a container is reached.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) id: ContainerId,
    pub(crate) container: Arc<Container>,
    pub(crate) ip: Option<IpAddr>,
}

impl Target {
    /// Carries out a probe once; the error's text is the failure as upstream puts it.
    pub(crate) async fn probe(&self, probe: &Probe) -> Result<()> {
        let limit =
            Duration::from_secs(u64::try_from(probe.timeout_seconds.unwrap_or(1)).unwrap_or(1).max(1));
        if let Some(exec) = &probe.exec {
            return self.exec(exec.command.as_deref().unwrap_or_default(), limit).await;
        }
        let attempt = async {
            if let Some(get) = &probe.http_get {
                return self.http(get, "kube-probe/1.35").await;
            }
            if let Some(tcp) = &probe.tcp_socket {
                return self.tcp(tcp.host.as_deref(), self.port(&tcp.port)?).await;
            }
            if let Some(grpc) = &probe.grpc {
                let port = u16::try_from(grpc.port)
                    .map_err(|_| Error::Invalid("gRPC port out of range".to_owned()))?;
                return super::grpc::check(
                    self.address(None)?,
                    port,
                    grpc.service.as_deref().unwrap_or_default(),
                )
                .await;
            }
            Err(Error::Invalid("missing probe handler".to_owned()))
        };
        match tokio::time::timeout(limit, attempt).await {
            Ok(result) => result,
            Err(_) => Err(Error::Deadline("context".to_owned())),
        }
    }

    /// Carries out a lifecycle handler within `limit`.
    pub(crate) async fn handle(&self, handler: &LifecycleHandler, limit: Duration) -> Result<()> {
        if let Some(exec) = &handler.exec {
            return self.exec(exec.command.as_deref().unwrap_or_default(), limit).await;
        }
        let attempt = async {
            if let Some(get) = &handler.http_get {
                return self.http(get, "kube-lifecycle/1.35").await;
            }
            if let Some(sleep) = &handler.sleep {
                tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or_default()))
                    .await;
                return Ok(());
            }
            Err(Error::Invalid("invalid handler".to_owned()))
        };
        match tokio::time::timeout(limit, attempt).await {
            Ok(result) => result,
            Err(_) => Err(Error::Deadline("lifecycle handler".to_owned())),
        }
    }

    async fn exec(&self, command: &[String], limit: Duration) -> Result<()> {
        let output = match self.runtime.exec_sync(&self.id, command, limit).await {
            Err(Error::Deadline(_)) => {
                return Err(Error::Failed(format!(
                    "command timed out: \"{}\" timed out after {limit:?}",
                    command.join(" ")
                )));
            }
            other => other?,
        };
        if output.exit_code == 0 {
            return Ok(());
        }
        let mut text = output.stdout;
        text.extend_from_slice(&output.stderr);
        Err(Error::Failed(String::from_utf8_lossy(&text).trim_end().to_owned()))
    }

    fn address(&self, host: Option<&str>) -> Result<String> {
        match host.filter(|h| !h.is_empty()) {
            Some(host) => Ok(host.to_owned()),
            None => match self.ip {
                Some(IpAddr::V6(ip)) => Ok(format!("[{ip}]")),
                Some(ip) => Ok(ip.to_string()),
                None => Err(Error::Failed("the pod has no address".to_owned())),
            },
        }
    }

    fn port(&self, port: &IntOrString) -> Result<u16> {
        let number = match port {
            IntOrString::Int(n) => Some(*n),
            IntOrString::String(name) => name.parse().ok().or_else(|| {
                let ports = self.container.ports.iter().flatten();
                ports.into_iter().find(|p| p.name.as_deref() == Some(name)).map(|p| p.container_port)
            }),
        };
        let number = number.and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
        number.ok_or_else(|| Error::Invalid(format!("couldn't find port: {port:?}")))
    }

    async fn tcp(&self, host: Option<&str>, port: u16) -> Result<()> {
        connect(&self.address(host)?, port).await.map(|_| ())
    }

    /// A GET; redirects to other hosts are not followed and count as success, as upstream.
    async fn http(&self, get: &HTTPGetAction, agent: &str) -> Result<()> {
        let (host, port) = (self.address(get.host.as_deref())?, self.port(&get.port)?);
        let tls = get.scheme.as_deref() == Some("HTTPS");
        let path = get.path.clone().unwrap_or_default();
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let url = format!("{}://{host}:{port}{path}", if tls { "https" } else { "http" });
        let request = build_request(get, &url, &path, &format!("{host}:{port}"), agent)?;
        let failed = |e: String| Error::Failed(format!("Get {url:?}: {e}"));
        let stream = connect(&host, port).await.map_err(|e| failed(e.to_string()))?;
        let code = match tls {
            false => send(TokioIo::new(stream), request).await,
            true => {
                let stream = super::tls::connect_unverified(stream, &host).await;
                send(TokioIo::new(stream.map_err(|e| failed(e.to_string()))?), request).await
            }
        };
        match code.map_err(|e| failed(e.to_string()))? {
            200..=399 => Ok(()),
            code => Err(Error::Failed(format!("HTTP probe failed with statuscode: {code}"))),
        }
    }
}

fn build_request(
    get: &HTTPGetAction,
    url: &str,
    path: &str,
    host: &str,
    agent: &str,
) -> Result<Request<Empty<Bytes>>> {
    let target: Uri = path.parse().map_err(|_| Error::Invalid(format!("bad probe path in {url:?}")))?;
    let mut request = Request::builder().uri(target);
    let own = get.http_headers.as_deref().unwrap_or_default();
    let given = |name: &str| own.iter().any(|h| h.name.eq_ignore_ascii_case(name));
    for (name, value) in [
        (header::HOST, host),
        (header::USER_AGENT, agent),
        (header::ACCEPT, "*/*"),
        (header::CONNECTION, "close"),
    ] {
        if !given(name.as_str()) {
            request = request.header(name, value);
        }
    }
    for header in own.iter().filter(|h| !h.value.is_empty()) {
        request = request.header(&header.name, &header.value);
    }
    request.body(Empty::new()).map_err(|e| Error::Invalid(e.to_string()))
}

async fn connect(host: &str, port: u16) -> Result<TcpStream> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    TcpStream::connect((bare, port)).await.map_err(|e| Error::Failed(format!("dial tcp {host}:{port}: {e}")))
}

async fn send<I>(io: I, request: Request<Empty<Bytes>>) -> Result<u16>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let broken = |e: hyper::Error| Error::Failed(e.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(broken)?;
    let driver = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let response = sender.send_request(request).await.map_err(broken)?;
    let code = response.status().as_u16();
    // The answer is read so that the server sees an orderly end; what is too long does not matter.
    let _ = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
    drop(driver);
    Ok(code)
}
