//! One request to a registry.

use std::{error::Error as StdError, io, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, RANGE, RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE,
    },
};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};

use super::{
    Fault, Limits, Roots,
    challenge::{Challenge, parse},
    connect::Connector,
    reference::is_local,
};

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;
/// How many connections to a server are kept for the next request.
const MAX_IDLE: usize = 4;
/// The largest answer of a server that refuses something, in bytes; what is longer is not told.
const MAX_REFUSAL: u64 = 64 << 10;

/// What to get.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask {
    pub(super) uri: Uri,
    /// The media types that will do; empty: any.
    pub(super) accept: &'static str,
    /// From which byte on.
    pub(super) from: u64,
}

/// A server's answer, its body not read yet.
#[derive(Debug)]
pub(super) struct Answer {
    response: Response<Incoming>,
    /// What was asked, for people.
    pub(super) asked: String,
    /// Whether it comes from somewhere else than asked, which is not to be trusted with credentials.
    pub(super) strayed: bool,
    idle: Duration,
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

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// What the server wants to know first; `None` when it says nothing that this client understands.
    pub(super) fn challenge(&self) -> Option<Challenge> {
        let lines = self.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|line| line.to_str().ok());
        parse(lines)
    }

    fn redirect(&self, from: &Uri) -> Result<Option<Uri>, Fault> {
        if !matches!(self.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location = self.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let to = location.and_then(|location| resolve(from, location));
        let to = to.ok_or_else(|| Fault::Content(format!("{}: redirected to nowhere", self.asked)))?;
        match may_follow(from, &to) {
            true => Ok(Some(to)),
            false => Err(Fault::Content(format!(
                "{}: redirected to {}, which is not safe",
                self.asked,
                authority(&to)
            ))),
        }
    }

    /// The next piece of the body; `None` at its end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        let broken = |why: &str| Fault::Broken(format!("{}: {why}", self.asked));
        loop {
            let frame = tokio::time::timeout(self.idle, self.response.body_mut().frame()).await;
            match frame.map_err(|_| broken("nothing came in time"))? {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(&cause(&error))),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// The whole body, which must not be longer than this.
    pub(super) async fn read(mut self, most: u64) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        while let Some(bytes) = self.next().await? {
            if (body.len() + bytes.len()) as u64 > most {
                return Err(Fault::Content(format!(
                    "{}: the answer is larger than {most} bytes",
                    self.asked
                )));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    }

    /// Why this answer is not the one hoped for.
    pub(super) async fn refusal(self) -> Fault {
        let (status, challenge) = (self.status(), self.challenge());
        let after =
            self.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let unexpected = format!("unexpected status from {}: {status}", self.asked);
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Fault::Busy { answer: unexpected, after: after.map(Duration::from_secs) };
        }
        let body = self.read(MAX_REFUSAL).await.unwrap_or_default();
        let (code, message) = first_error(&body);
        let answer = match (challenge, code.is_empty()) {
            (Some(Challenge::Bearer { error: Some(error), .. }), _) => {
                format!("{error}: authorization failed")
            }
            (_, false) => format!("{}: {message}", code.to_lowercase()),
            (_, true) => status.to_string(),
        };
        match (status.as_u16(), code.as_str()) {
            (404, _) | (_, "MANIFEST_UNKNOWN" | "NAME_UNKNOWN") => Fault::NotFound,
            (401 | 403, _) => Fault::Denied(answer),
            _ if code.is_empty() => Fault::Content(unexpected),
            _ => Fault::Content(format!("{unexpected}: {answer}")),
        }
    }
}

/// Code and message of the first error in a registry's answer.
fn first_error(body: &[u8]) -> (String, String) {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let word = |key: &str| json.pointer(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    (word("/errors/0/code"), word("/errors/0/message"))
}

/// Host and port.
fn authority(uri: &Uri) -> &str {
    uri.authority().map_or("", |authority| authority.as_str())
}

/// Whether credentials for one address are meant for the other too.
fn is_same_server(one: &Uri, other: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = |uri: &Uri| uri.host().map(str::to_lowercase);
    one.scheme() == other.scheme() && host(one) == host(other) && port(one) == port(other)
}

/// Where a `Location` leads from `base`; `None` when it is no address that this client would visit.
fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let (scheme, host) = (base.scheme_str()?, authority(base));
    let full = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{host}{location}")
    } else if location.contains("://") {
        location.to_owned()
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{host}{folder}/{location}")
    };
    let uri: Uri = full.parse().ok()?;
    // A user in the address would be credentials that nobody here gave.
    (uri.host().is_some() && !authority(&uri).contains('@')).then_some(uri)
}

/// Whether one address may send this client to another: what began with TLS goes on with it, and without there is this machine only.
pub(super) fn may_follow(from: &Uri, to: &Uri) -> bool {
    match to.scheme_str() {
        Some("https") => true,
        Some("http") => from.scheme_str() == Some("http") && to.host().is_some_and(is_local),
        _ => false,
    }
}

/// The innermost reason, which says what happened; the outer ones only say where.
fn cause(error: &(dyn StdError + 'static)) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_with_their_server() {
        let same = |a: &str, b: &str| is_same_server(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("https://A.example/x", "https://a.example:443/y?z"));
        for other in
            ["https://b.example/", "https://a.example:444/", "http://a.example/", "https://a.example.b/"]
        {
            assert!(!same("https://a.example/", other), "{other}");
        }
    }

    #[test]
    fn redirects_lead_where_they_say_and_nowhere_unsafe() {
        let check = |base: &str, location: &str, expected: Option<&str>| {
            let base: Uri = base.parse().unwrap();
            let found = resolve(&base, location).filter(|to| may_follow(&base, to));
            assert_eq!(found.map(|uri| uri.to_string()).as_deref(), expected, "{base} to {location}");
        };
        let base = "https://a/v2/x/blobs/1";
        check(base, "https://b:1/c?d=e#f", Some("https://b:1/c?d=e"));
        check(base, "/c", Some("https://a/c"));
        check(base, "//b/c", Some("https://b/c"));
        check(base, "2", Some("https://a/v2/x/blobs/2"));
        check("http://localhost/a", "http://127.0.0.1:5/b", Some("http://127.0.0.1:5/b"));
        check("http://localhost/a", "https://b/", Some("https://b/"));
        for bad in ["http://a/c", "http://localhost/c", "ftp://a/c", "https://me:secret@a/c", "https://", ""]
        {
            check(base, bad, if bad.is_empty() { Some("https://a/v2/x/blobs/") } else { None });
        }
        check("http://localhost/a", "http://b/", None);
    }
}
