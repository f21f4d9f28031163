use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::{NodeAddress, NodeConnector, NodeError};

/// An agent's answer as it arrives.
pub type NodeBody = UnsyncBoxBody<Bytes, hyper::Error>;

/// Hands `request` on to the agent at `node` as `path` (path and query) and returns its answer. The caller has authorized the request;
/// what authenticated it is not passed on.
///
/// # Errors
/// [`NodeError`] if the agent can't be reached or gives no answer.
pub async fn forward<B>(
    connector: &dyn NodeConnector,
    node: &NodeAddress,
    path: &str,
    mut request: Request<B>,
) -> Result<Response<NodeBody>, NodeError>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let client_upgrade = wants_upgrade(request.headers()).then(|| hyper::upgrade::on(&mut request));
    let path: PathAndQuery = path.parse().map_err(|_| NodeError::Path { path: path.into() })?;
    let connection = connector
        .connect(node)
        .await
        .map_err(|source| NodeError::Unreachable { node: node.clone(), source })?;
    let broken = |source| NodeError::Broken { node: node.clone(), source };
    let (mut sender, driver) =
        hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.map_err(broken)?;
    tokio::spawn(driver.with_upgrades());
    let answer = sender.send_request(outgoing(request, path, node)).await.map_err(broken)?;
    Ok(match client_upgrade {
        Some(client) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => joined(answer, client),
        Some(_) => refused(answer),
        None => answer.map(BodyExt::boxed_unsync),
    })
}

/// Whether the client asks to change the protocol of its connection.
fn wants_upgrade(headers: &HeaderMap) -> bool {
    let connection = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named =
        connection.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    named && headers.contains_key(UPGRADE)
}

fn outgoing<B>(request: Request<B>, path: PathAndQuery, node: &NodeAddress) -> Request<B> {
    let (mut parts, body) = request.into_parts();
    let identity = |name: &HeaderName| {
        name.as_str().starts_with("x-remote-") || name.as_str().starts_with("impersonate-")
    };
    let private: Vec<_> = parts.headers.keys().filter(|name| identity(name)).cloned().collect();
    for name in private.iter().chain(&[AUTHORIZATION, COOKIE]) {
        parts.headers.remove(name);
    }
    if let Ok(host) = HeaderValue::from_str(&node.to_string()) {
        parts.headers.insert(HOST, host);
    }
    parts.version = http::Version::HTTP_11;
    parts.uri = Uri::from(path);
    // The incoming connection's upgrade must not be taken for the outgoing one's.
    parts.extensions = http::Extensions::new();
    Request::from_parts(parts, body)
}

/// Joins both connections once each side has switched protocols, and returns the 101 that makes the client's switch.
fn joined(mut answer: Response<hyper::body::Incoming>, client: OnUpgrade) -> Response<NodeBody> {
    let agent = hyper::upgrade::on(&mut answer);
    tokio::spawn(async move {
        let (client, agent) = match tokio::try_join!(client, agent) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "an upgraded connection broke before it began"),
        };
        let copied = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(agent)).await;
        if let Err(error) = copied {
            tracing::debug!(%error, "an upgraded connection broke");
        }
    });
    let (parts, _) = answer.into_parts();
    Response::from_parts(parts, Empty::new().map_err(|never| match never {}).boxed_unsync())
}

/// An answer other than 101 to a request for an upgrade: handed back, and the connection closed behind it.
fn refused(answer: Response<hyper::body::Incoming>) -> Response<NodeBody> {
    let mut answer = answer.map(BodyExt::boxed_unsync);
    answer.headers_mut().remove(UPGRADE);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
