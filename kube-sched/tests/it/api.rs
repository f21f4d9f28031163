//! An API server that is just enough for the scheduler: lists, watches and a record of writes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use futures::StreamExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

pub(crate) type Write = (String, String, Value);

#[derive(Debug, Default)]
struct State {
    nodes: Vec<Value>,
    pods: Vec<Value>,
    /// What there is of other kinds, by path.
    others: HashMap<&'static str, Vec<Value>>,
    written: Vec<Write>,
    failures: HashMap<&'static str, u32>,
}

/// The API, shared by all its clients.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeApi {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl FakeApi {
    pub(crate) fn new(nodes: Vec<Value>, pods: Vec<Value>) -> Self {
        let api = Self::default();
        *api.state.lock() = State { nodes, pods, ..State::default() };
        api
    }

    /// Adds an object of another kind; `path` is where all objects of its kind are listed.
    pub(crate) fn with(self, path: &'static str, object: Value) -> Self {
        self.state.lock().others.entry(path).or_default().push(object);
        self
    }

    pub(crate) fn client(&self) -> Client {
        let api = self.clone();
        Client::new(tower::service_fn(move |request| api.clone().serve(request)), "default")
    }

    /// Everything written: method, path and body.
    pub(crate) fn written(&self) -> Vec<Write> {
        self.state.lock().written.clone()
    }

    /// Waits for a write that has not been waited for.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Lets the next writes fail whose paths end like this.
    pub(crate) fn fail(&self, path_end: &'static str, number: u32) {
        self.state.lock().failures.insert(path_end, number);
    }

    async fn serve(
        self,
        request: Request<Body>,
    ) -> Result<Response<UnsyncBoxBody<bytes::Bytes, Infallible>>, Infallible> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        if parts.method == Method::GET {
            let watch = parts.uri.query().is_some_and(|query| query.contains("watch=true"));
            return Ok(if watch { open_watch() } else { answer(StatusCode::OK, &self.list(&path)) });
        }
        let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let fails = {
            let mut state = self.state.lock();
            state.written.push((parts.method.to_string(), path.clone(), body.clone()));
            let due = state.failures.iter_mut().find(|(end, left)| path.ends_with(**end) && **left > 0);
            due.map(|(_, left)| *left -= 1).is_some()
        };
        self.changed.notify_one();
        Ok(if fails {
            answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                &json!({"kind": "Status", "status": "Failure", "message": "no", "reason": "InternalError", "code": 500}),
            )
        } else {
            answer(StatusCode::CREATED, &body)
        })
    }

    fn list(&self, path: &str) -> Value {
        let state = self.state.lock();
        let none = Vec::new();
        let items = match path {
            "/api/v1/nodes" => &state.nodes,
            "/api/v1/pods" => &state.pods,
            _ => state.others.get(path).unwrap_or(&none),
        };
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items})
    }
}

fn answer(status: StatusCode, body: &Value) -> Response<UnsyncBoxBody<bytes::Bytes, Infallible>> {
    let mut response = Response::new(http_body_util::Full::from(body.to_string()).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// A watch on which nothing ever happens.
fn open_watch() -> Response<UnsyncBoxBody<bytes::Bytes, Infallible>> {
    let frames = futures::stream::pending::<Result<http_body::Frame<bytes::Bytes>, Infallible>>().boxed();
    Response::new(StreamBody::new(frames).boxed_unsync())
}
