//! One request to a registry.

use std::{error::Error as StdError, io};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RANGE, USER_AGENT},
};
use http_body_util::Full;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};

use super::{
    Fault, Limits, Roots,
    address::{authority, is_same_server},
    answer::Answer,
    connect::Connector,
};

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;
/// How many connections to a server are kept for the next request.
const MAX_IDLE: usize = 4;

/// What to get.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask {
    pub(super) uri: Uri,
    /// The media types that will do; empty: any.
    pub(super) accept: &'static str,
    /// From which byte on.
    pub(super) from: u64,
}

/// Sends requests.
#[derive(Debug)]
pub(super) struct Transport {
    client: Client<Connector, Full<Bytes>>,
    pub(super) limits: Limits,
}

impl Transport {
    pub(super) fn new(roots: Roots, limits: Limits) -> Self {
        let connector = Connector::new(roots, limits.connect);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(MAX_IDLE)
            .build(connector);
        Self { client, limits }
    }

    /// Gets something and follows redirects. `authorization` is for the server asked and is sent to no other.
    pub(super) async fn get(&self, ask: &Ask, authorization: Option<&HeaderValue>) -> Result<Answer, Fault> {
        let (mut uri, mut authorization) = (ask.uri.clone(), authorization);
        let mut strayed = false;
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.send(request(ask, &uri, authorization)?, strayed).await?;
            let Some(next) = answer.redirect(&uri)? else { return Ok(answer) };
            if !is_same_server(&next, &uri) {
                // Once it has been elsewhere, it stays away: who redirects back decides what is asked with the credentials.
                (authorization, strayed) = (None, true);
            }
            uri = next;
        }
        Err(Fault::Content(format!("GET request to {}: stopped after {MAX_REDIRECTS} redirects", ask.uri)))
    }

    /// Sends a form. Redirects are not followed: the form may hold a secret.
    pub(super) async fn post(&self, uri: &Uri, form: String) -> Result<Answer, Fault> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form)));
        self.send(request.map_err(|error| senseless(uri, &error))?, false).await
    }

    async fn send(&self, mut request: Request<Full<Bytes>>, strayed: bool) -> Result<Answer, Fault> {
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("kube-node"));
        // Queries are left out: those of storage services are secrets.
        let uri = request.uri();
        let place = format!("{}://{}{}", uri.scheme_str().unwrap_or_default(), authority(uri), uri.path());
        let asked = format!("{} request to {place}", request.method());
        let sent = tokio::time::timeout(self.limits.idle, self.client.request(request)).await;
        let response = sent.map_err(|_| Fault::Broken(format!("{asked}: no answer in time")))?;
        let response = response.map_err(|error| {
            let reason = format!("failed to do request: {asked}: {}", cause(&error));
            match error.is_connect() && !is_reset(&error) {
                true => Fault::Unreachable(reason),
                false => Fault::Broken(reason),
            }
        })?;
        Ok(Answer { response, asked, strayed, idle: self.limits.idle })
    }
}

fn request(ask: &Ask, uri: &Uri, authorization: Option<&HeaderValue>) -> Result<Request<Full<Bytes>>, Fault> {
    let mut request = Request::builder().uri(uri);
    if !ask.accept.is_empty() {
        request = request.header(ACCEPT, ask.accept);
    }
    if ask.from > 0 {
        request = request.header(RANGE, format!("bytes={}-", ask.from));
    }
    if let Some(header) = authorization {
        request = request.header(AUTHORIZATION, header);
    }
    request.body(Full::default()).map_err(|error| senseless(uri, &error))
}

fn senseless(uri: &Uri, error: &http::Error) -> Fault {
    Fault::Content(format!("{uri}: {error}"))
}

/// The innermost reason, which says what happened; the outer ones only say where.
pub(super) fn cause(error: &(dyn StdError + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn is_reset(error: &(dyn StdError + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let mut inner = Some(error);
    while let Some(error) = inner {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)) {
            return true;
        }
        inner = error.source();
    }
    false
}
