//! A registry that does what a test tells it to.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::Arc,
};

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What a request looked like.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) method: Method,
    /// Path with query.
    pub(super) path: String,
    pub(super) authorization: Option<String>,
    pub(super) range: Option<String>,
    pub(super) body: String,
}

/// What happens instead of a good answer, once.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// This status with these headers and this body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The connection breaks after so many bytes of the body.
    Break(usize),
    /// `Range` is not understood.
    Whole,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    trouble: BTreeMap<String, VecDeque<Trouble>>,
    seen: Vec<Seen>,
    /// The `Authorization` that opens the registry, and the challenge for who has another one.
    lock: Option<(String, String)>,
}

/// A server on this machine, until the test ends.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) port: u16,
    state: Arc<Mutex<State>>,
}

pub(super) fn digest(bytes: &[u8]) -> String {
    crate::image::layer::digest_text(&Sha256::digest(bytes))
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::listen("127.0.0.1", None).await
    }

    pub(super) async fn listen(address: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let me = Self { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let server = me.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, tls) = (server.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => server.serve(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                server.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        me
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = hyper::service::service_fn(move |request| {
            let me = self.clone();
            async move { Ok::<_, Infallible>(me.answer(request).await) }
        });
        // Broken connections are part of the tests.
        let _ =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    /// Serves these bytes at this path.
    pub(super) fn file(&self, path: &str, bytes: &[u8]) {
        self.state.lock().files.insert(path.to_owned(), bytes.to_vec());
    }

    /// Serves a blob of `demo`.
    pub(super) fn blob(&self, bytes: &[u8]) -> String {
        self.file(&format!("/v2/demo/blobs/{}", digest(bytes)), bytes);
        digest(bytes)
    }

    /// Serves a manifest or index of `demo`, by its digest and by a tag.
    pub(super) fn manifest(&self, tag: &str, json: &serde_json::Value) -> String {
        let bytes = json.to_string().into_bytes();
        for name in [tag, &digest(&bytes)] {
            self.file(&format!("/v2/demo/manifests/{name}"), &bytes);
        }
        digest(&bytes)
    }

    /// Lets only those in who send this.
    pub(super) fn lock(&self, authorization: &str, challenge: &str) {
        self.state.lock().lock = Some((authorization.to_owned(), challenge.to_owned()));
    }

    /// Makes the next requests for this path fail, in order.
    pub(super) fn trouble(&self, path: &str, trouble: impl IntoIterator<Item = Trouble>) {
        self.state.lock().trouble.entry(path.to_owned()).or_default().extend(trouble);
    }

    /// The requests so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.lock().seen.clone()
    }

    /// The requests whose path begins like this.
    pub(super) fn asked(&self, path: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.path.starts_with(path)).collect()
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let word = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let seen = Seen {
            method: parts.method.clone(),
            path: parts.uri.to_string(),
            authorization: word("authorization"),
            range: word("range"),
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        let mut state = self.state.lock();
        state.seen.push(seen.clone());
        if let Some((secret, challenge)) = &state.lock
            && seen.path.starts_with("/v2/")
            && seen.authorization.as_ref() != Some(secret)
        {
            let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
            return plain(401, &[("www-authenticate", challenge.clone())], body.as_bytes());
        }
        let path = parts.uri.path();
        let trouble = state.trouble.get_mut(path).and_then(VecDeque::pop_front);
        let file = state.files.get(path).cloned();
        let offset = offset(&parts.headers);
        match (trouble, file) {
            (Some(Trouble::Answer(status, headers, body)), _) => plain(status, &headers, body.as_bytes()),
            (_, None) => {
                plain(404, &[], br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#)
            }
            (Some(Trouble::Break(after)), Some(file)) => broken(&file, offset, after),
            (Some(Trouble::Whole), Some(file)) => plain(200, &[], &file),
            (None, Some(file)) if offset == 0 => plain(200, &[], &file),
            (None, Some(file)) if offset >= file.len() => plain(416, &[], &[]),
            (None, Some(file)) => plain(206, &[range(&file, offset)], &file[offset..]),
        }
    }
}

fn offset(headers: &HeaderMap) -> usize {
    let range = headers.get("range").and_then(|value| value.to_str().ok());
    range.map_or(0, |range| range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap())
}

fn range(file: &[u8], offset: usize) -> (&'static str, String) {
    ("content-range", format!("bytes {offset}-{}/{}", file.len() - 1, file.len()))
}

fn plain(status: u16, headers: &[(&'static str, String)], body: &[u8]) -> Response<Body> {
    let body = Full::new(Bytes::copy_from_slice(body)).map_err(|never| match never {}).boxed_unsync();
    respond(status, headers, body)
}

fn respond(status: u16, headers: &[(&'static str, String)], body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().append(*name, value.parse().unwrap());
    }
    response
}

/// An answer that promises everything from `offset` on and breaks off.
fn broken(file: &[u8], offset: usize, after: usize) -> Response<Body> {
    let sent = Bytes::copy_from_slice(&file[offset..offset + after]);
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    // The pause between the two lets the first piece out before the connection goes.
    let frames = futures::stream::iter([Ok(Frame::data(sent)), Err(reset)]).then(|frame| async {
        if frame.is_err() {
            tokio::task::yield_now().await;
        }
        frame
    });
    let length = ("content-length", (file.len() - offset).to_string());
    let (status, headers) =
        if offset == 0 { (200, vec![length]) } else { (206, vec![length, range(file, offset)]) };
    respond(status, &headers, StreamBody::new(frames.boxed()).boxed_unsync())
}
