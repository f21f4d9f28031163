//! An API server as a model: lists, watches, bindings and deletions with resource versions, and faults on demand. It keeps
//! account of what a scheduler must never do.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// How often things go wrong, in per mille.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// A binding is refused because of a conflict.
    pub(crate) conflict: u32,
    /// A write fails before it has an effect.
    pub(crate) failure: u32,
    /// A write has its effect, but the answer is an error.
    pub(crate) lost_answer: u32,
    /// A watch begins with the news that its version is too old.
    pub(crate) expired: u32,
}

#[derive(Debug)]
struct State {
    version: u64,
    objects: BTreeMap<(&'static str, String), Value>,
    history: Vec<(u64, &'static str, Value)>,
    watches: Vec<(&'static str, UnboundedSender<Bytes>)>,
    faults: Faults,
    /// Turns of the other tasks that pass while a write is under way.
    turns: u32,
    rng: Rng,
    violations: Vec<String>,
    bound: usize,
    evicted: usize,
}

/// The API, shared by all its clients.
#[derive(Debug, Clone)]
pub(crate) struct SimApi(Arc<Mutex<State>>);

const KINDS: [&str; 2] = ["nodes", "pods"];

pub(crate) fn key(object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    if text("namespace").is_empty() {
        text("name").to_owned()
    } else {
        format!("{}/{}", text("namespace"), text("name"))
    }
}

/// What a pod asks for, in thousandths of a CPU.
pub(crate) fn milli_cpu(pod: &Value) -> u64 {
    let text = pod["spec"]["containers"][0]["resources"]["requests"]["cpu"].as_str().unwrap_or("0");
    text.strip_suffix('m')
        .map_or_else(|| text.parse().unwrap_or(0) * 1000, |milli| milli.parse().unwrap_or(0))
}

impl SimApi {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            version: 1,
            objects: BTreeMap::new(),
            history: Vec::new(),
            watches: Vec::new(),
            faults: Faults::default(),
            turns: 0,
            rng: Rng::with_seed(seed),
            violations: Vec::new(),
            bound: 0,
            evicted: 0,
        })))
    }

    pub(crate) fn client(&self) -> Client {
        let api = self.clone();
        Client::new(tower::service_fn(move |request| api.clone().serve(request)), "default")
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.0.lock().faults = faults;
    }

    /// Lets writes take so many turns of the other tasks.
    pub(crate) fn set_turns(&self, turns: u32) {
        self.0.lock().turns = turns;
    }

    /// Cuts every watch.
    pub(crate) fn drop_watches(&self) {
        self.0.lock().watches.clear();
    }

    /// Adds or replaces an object.
    pub(crate) fn put(&self, kind: &'static str, object: Value) {
        self.0.lock().put(kind, object);
    }

    /// Removes an object.
    pub(crate) fn delete(&self, kind: &'static str, key: &str) {
        self.0.lock().delete(kind, key);
    }

    pub(crate) fn list(&self, kind: &'static str) -> Vec<Value> {
        let state = self.0.lock();
        state.objects.iter().filter(|((k, _), _)| *k == kind).map(|(_, object)| object.clone()).collect()
    }

    /// What the scheduler did wrong.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.0.lock().violations.clone()
    }

    /// Pods bound and evicted so far.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.0.lock();
        (state.bound, state.evicted)
    }

    async fn serve(self, request: Request<Body>) -> Result<Answer, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
        let turns = if parts.method == Method::GET { 0 } else { self.0.lock().turns };
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let mut state = self.0.lock();
        if parts.method == Method::GET {
            let kind = KINDS.into_iter().find(|kind| path == format!("/api/v1/{kind}"));
            return Ok(match kind {
                Some(kind) if query.contains("watch=true") => state.watch(kind, &query),
                Some(kind) => state.list(kind),
                None => state.failed(StatusCode::NOT_FOUND, "no such kind"),
            });
        }
        Ok(state.write(&parts.method, &path, &body))
    }
}

impl State {
    fn happens(&mut self, per_mille: u32) -> bool {
        self.rng.u32(..1000) < per_mille
    }

    fn announce(&mut self, kind: &'static str, change: &str, object: Value) {
        let event = json!({"type": change, "object": object});
        let line = Bytes::from(format!("{event}\n"));
        self.watches.retain(|(k, watch)| *k != kind || watch.unbounded_send(line.clone()).is_ok());
        self.history.push((self.version, kind, event));
    }

    fn put(&mut self, kind: &'static str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let change = match self.objects.insert((kind, key(&object)), object.clone()) {
            Some(_) => "MODIFIED",
            None => "ADDED",
        };
        self.announce(kind, change, object);
    }

    fn delete(&mut self, kind: &'static str, key: &str) {
        let Some(mut object) = self.objects.remove(&(kind, key.to_owned())) else { return };
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.announce(kind, "DELETED", object);
    }

    fn failed(&self, code: StatusCode, message: &str) -> Answer {
        answer(
            code,
            &json!({"kind": "Status", "status": "Failure", "message": message, "reason": "", "code": code.as_u16()}),
        )
    }

    fn list(&self, kind: &'static str) -> Answer {
        let items: Vec<_> =
            self.objects.iter().filter(|((k, _), _)| *k == kind).map(|(_, object)| object).collect();
        answer(
            StatusCode::OK,
            &json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": self.version.to_string()}, "items": items}),
        )
    }

    fn watch(&mut self, kind: &'static str, query: &str) -> Answer {
        if self.happens(self.faults.expired) {
            return self.failed(StatusCode::GONE, "too old resource version");
        }
        let version = query.split('&').find_map(|part| part.strip_prefix("resourceVersion="));
        let since = version.and_then(|version| version.parse::<u64>().ok()).unwrap_or_default();
        let (sender, receiver) = unbounded();
        for (version, k, event) in &self.history {
            if *version > since && *k == kind {
                sender.unbounded_send(Bytes::from(format!("{event}\n"))).expect("the receiver is here");
            }
        }
        self.watches.push((kind, sender));
        let frames = receiver.map(|line| Ok::<_, Infallible>(Frame::data(line)));
        Response::new(StreamBody::new(frames).boxed_unsync())
    }

    fn write(&mut self, method: &Method, path: &str, body: &Value) -> Answer {
        if self.happens(self.faults.failure) {
            return self.failed(StatusCode::INTERNAL_SERVER_ERROR, "injected");
        }
        let parts: Vec<_> = path.trim_start_matches("/api/v1/namespaces/").split('/').collect();
        let result = match (method.as_str(), parts.as_slice()) {
            ("POST", [namespace, "pods", name, "binding"]) => self.bind(&format!("{namespace}/{name}"), body),
            ("PATCH", [namespace, "pods", name, "status"]) => {
                self.patch_status(&format!("{namespace}/{name}"), body)
            }
            ("DELETE", [namespace, "pods", name]) => {
                self.evicted += 1;
                self.delete("pods", &format!("{namespace}/{name}"));
                Ok(json!({"kind": "Status", "status": "Success"}))
            }
            _ => Ok(body.clone()),
        };
        match result {
            Ok(_) if self.happens(self.faults.lost_answer) => {
                self.failed(StatusCode::GATEWAY_TIMEOUT, "the answer was lost")
            }
            Ok(object) => answer(StatusCode::OK, &object),
            Err((code, message)) => self.failed(code, message),
        }
    }

    fn patch_status(&mut self, key: &str, body: &Value) -> Result<Value, (StatusCode, &'static str)> {
        let found = self.objects.get(&("pods", key.to_owned())).cloned();
        let mut pod = found.ok_or((StatusCode::NOT_FOUND, "gone"))?;
        if body["metadata"]["uid"] != pod["metadata"]["uid"] {
            return Err((StatusCode::CONFLICT, "another pod"));
        }
        for (field, value) in body["status"].as_object().into_iter().flatten() {
            pod["status"][field] = value.clone();
        }
        self.put("pods", pod.clone());
        Ok(pod)
    }

    fn bind(&mut self, key: &str, body: &Value) -> Result<Value, (StatusCode, &'static str)> {
        if self.happens(self.faults.conflict) {
            return Err((StatusCode::CONFLICT, "injected"));
        }
        let found = self.objects.get(&("pods", key.to_owned())).cloned();
        let mut pod = found.ok_or((StatusCode::NOT_FOUND, "gone"))?;
        if body["metadata"]["uid"] != pod["metadata"]["uid"] || pod["spec"]["nodeName"].is_string() {
            return Err((StatusCode::CONFLICT, "bound or another pod"));
        }
        let node = body["target"]["name"].as_str().unwrap_or_default().to_owned();
        pod["spec"]["nodeName"] = node.as_str().into();
        self.bound += 1;
        self.put("pods", pod);
        self.check(&node);
        Ok(json!({"kind": "Status", "status": "Success"}))
    }

    /// A node never has more than it can bear.
    fn check(&mut self, node: &str) {
        let Some(object) = self.objects.get(&("nodes", node.to_owned())) else { return };
        let cpu = object["status"]["allocatable"]["cpu"].as_str().unwrap_or("0").parse::<u64>().unwrap_or(0);
        let pods = self.objects.iter().filter(|((kind, _), _)| *kind == "pods").map(|(_, pod)| pod);
        let used: u64 = pods.filter(|pod| pod["spec"]["nodeName"] == node).map(milli_cpu).sum();
        if used > cpu * 1000 {
            self.violations.push(format!("{node} bears {used}m of {cpu}000m"));
        }
    }
}

fn answer(status: StatusCode, body: &Value) -> Answer {
    let mut response = Response::new(Full::from(body.to_string()).boxed_unsync());
    *response.status_mut() = status;
    response
}
