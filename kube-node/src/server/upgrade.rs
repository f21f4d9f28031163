use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::Body;
use super::channel::Protocol;
use crate::{Error, Result};

/// The largest message a client may send, in bytes.
const MAX_MESSAGE: usize = 1 << 20;

/// A connection that has become a WebSocket.
pub(super) type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// Agrees on a protocol and makes the answer that turns the connection into a WebSocket.
///
/// # Errors
/// [`Error::Invalid`] if the client asks for no WebSocket, or for none of the subprotocols spoken here.
pub(super) fn accept(headers: &HeaderMap) -> Result<(Protocol, Response<Body>)> {
    let is = |name, value: &str| {
        headers.get(name).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
    };
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|_| is(UPGRADE, "websocket") && is(SEC_WEBSOCKET_VERSION, "13"));
    let key =
        key.ok_or_else(|| Error::Invalid("unable to upgrade: expected a WebSocket of version 13".into()))?;
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let protocol = offered.flat_map(|value| value.split(',')).find_map(|name| Protocol::named(name.trim()));
    let unknown =
        || Error::Invalid(format!("unable to upgrade: expected one of the subprotocols {}", Protocol::NAMES));
    let protocol = protocol.ok_or_else(unknown)?;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .map_err(|e| Error::Invalid(e.to_string()))?;
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
    answer.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol.name()));
    Ok((protocol, response))
}

/// The WebSocket, once the client has taken the answer.
pub(super) async fn socket(upgrade: hyper::upgrade::OnUpgrade) -> Result<Socket, hyper::Error> {
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(upgrade.await?), Role::Server, Some(config)).await)
}
