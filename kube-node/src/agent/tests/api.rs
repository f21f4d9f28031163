//! As much of an API server as an agent needs: objects by path, patches, watches, graceful deletion of pods.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::Clock;

type Key = (String, String, String);
type Body = UnsyncBoxBody<Bytes, Infallible>;

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Value>,
    /// Type, key and object of every change; the index is the resource version.
    log: Vec<(&'static str, Key, Value)>,
    /// How many tokens were given out.
    tokens: usize,
}

#[derive(Clone)]
pub(crate) struct FakeApi {
    state: Arc<Mutex<State>>,
    length: Arc<watch::Sender<usize>>,
    clock: Clock,
    /// How long the answer to a patch takes; watches tell of the change before.
    pub(crate) answers_after: Duration,
}

#[derive(Clone)]
struct Target {
    resource: String,
    namespace: String,
    name: Option<String>,
    subresource: Option<String>,
    query: String,
}

impl Target {
    fn parse(uri: &http::Uri) -> Self {
        let mut parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
        parts.drain(..if parts[0] == "api" { 2 } else { 3 });
        let namespaced = parts[0] == "namespaces" && parts.len() > 2;
        let namespace = if namespaced { parts[1].to_owned() } else { String::new() };
        parts.drain(..if namespaced { 2 } else { 0 });
        let word = |i: usize| parts.get(i).map(|p| (*p).to_owned());
        Self {
            resource: parts[0].to_owned(),
            namespace,
            name: word(1),
            subresource: word(2),
            query: uri.query().unwrap_or_default().to_owned(),
        }
    }

    fn key(&self) -> Key {
        (self.resource.clone(), self.namespace.clone(), self.name.clone().unwrap_or_default())
    }

    fn covers(&self, key: &Key) -> bool {
        let named = self.query.split('&').find_map(|q| q.strip_prefix("fieldSelector=metadata.name%3D"));
        key.0 == self.resource
            && (self.namespace.is_empty() || key.1 == self.namespace)
            && named.is_none_or(|n| n == key.2)
    }
}

/// A strategic merge, as far as statuses need it: lists of things with a `type` are merged by it.
fn merge(old: &mut Value, patch: Value) {
    match (old, patch) {
        (Value::Object(old), Value::Object(patch)) => {
            for (key, value) in patch {
                match value {
                    Value::Null => drop(old.remove(&key)),
                    value => merge(old.entry(key).or_insert(Value::Null), value),
                }
            }
        }
        (Value::Array(old), Value::Array(patch))
            if patch.iter().all(|p| p.get("type").is_some() && p.get("status").is_some()) =>
        {
            for item in patch {
                match old.iter_mut().find(|o| o["type"] == item["type"]) {
                    Some(found) => *found = item,
                    None => old.push(item),
                }
            }
        }
        (old, Value::Array(mut list)) => {
            // An order to replace the list, which is what happens here anyway.
            list.retain(|item| item.get("$patch").is_none());
            *old = Value::Array(list);
        }
        (old, patch) => *old = patch,
    }
}

impl FakeApi {
    pub(crate) fn new(clock: Clock) -> Self {
        let length = Arc::new(watch::channel(0).0);
        Self { state: Arc::default(), length, clock, answers_after: Duration::ZERO }
    }

    pub(crate) fn client(&self) -> kube::Client {
        let me = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let me = me.clone();
            async move { Ok::<_, Infallible>(me.answer(request).await) }
        });
        kube::Client::new(service, "default")
    }

    pub(crate) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.state.lock().objects.get(&(resource.to_owned(), namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Creates or replaces an object.
    pub(crate) fn put(&self, resource: &str, object: Value) -> Value {
        let word = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = (resource.to_owned(), word("namespace"), word("name"));
        self.change(key, Some(object))
    }

    /// Deletes a pod as kubectl does.
    pub(crate) fn delete(&self, name: &str, grace: i64) {
        let key = ("pods".to_owned(), "default".to_owned(), name.to_owned());
        let Some(mut pod) = self.get("pods", "default", name) else { return };
        if grace == 0 {
            self.change(key, None);
            return;
        }
        let at = self.clock.now() + jiff::SignedDuration::from_secs(grace);
        pod["metadata"]["deletionTimestamp"] = json!(at);
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        self.change(key, Some(pod));
    }

    /// How often something was told of the node's things, by its reason.
    pub(crate) fn event_count(&self, reason: &str) -> i64 {
        let state = self.state.lock();
        let events = state.objects.iter().filter(|(k, e)| k.0 == "events" && e["reason"] == reason);
        events.map(|(_, e)| e["count"].as_i64().unwrap_or_default()).sum()
    }

    pub(crate) fn event_reasons(&self) -> Vec<String> {
        let state = self.state.lock();
        let events = state.objects.iter().filter(|(k, _)| k.0 == "events");
        events.filter_map(|(_, e)| e["reason"].as_str().map(str::to_owned)).collect()
    }

    fn change(&self, key: Key, object: Option<Value>) -> Value {
        let mut state = self.state.lock();
        let version = (state.log.len() + 1).to_string();
        let old = state.objects.remove(&key);
        let kind = match (&object, &old) {
            (None, _) => "DELETED",
            (_, Some(_)) => "MODIFIED",
            _ => "ADDED",
        };
        let mut now = object.clone().or(old).unwrap_or_default();
        now["metadata"]["resourceVersion"] = json!(version);
        if object.is_some() {
            state.objects.insert(key.clone(), now.clone());
        }
        state.log.push((kind, key, now.clone()));
        self.length.send_replace(state.log.len());
        now
    }

    async fn answer(&self, request: Request<kube::client::Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let target = Target::parse(&parts.uri);
        let bytes = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
        let sent: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if target.query.contains("watch=true") {
            return self.watch(target);
        }
        let existing = self.state.lock().objects.get(&target.key()).cloned();
        match (parts.method, existing) {
            (Method::GET, _) if target.name.is_none() => self.list(&target),
            (Method::GET, Some(object)) => reply(StatusCode::OK, &object),
            (Method::POST, _) => self.create(&target, sent),
            (Method::PATCH, Some(mut object)) => {
                merge(&mut object, sent);
                let changed = self.change(target.key(), Some(object));
                if !self.answers_after.is_zero() {
                    tokio::time::sleep(self.answers_after).await;
                }
                reply(StatusCode::OK, &changed)
            }
            (Method::DELETE, Some(_)) => reply(StatusCode::OK, &self.change(target.key(), None)),
            _ => failure(404, "NotFound"),
        }
    }

    fn create(&self, target: &Target, mut object: Value) -> Response<Body> {
        match target.subresource.as_deref() {
            Some("token") => return reply(StatusCode::CREATED, &self.token(object)),
            Some(_) => return failure(404, "NotFound"),
            None => {}
        }
        object["metadata"]["namespace"] = json!(target.namespace);
        object["metadata"]["uid"] = json!(format!("api-{}", self.state.lock().log.len()));
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = (target.resource.clone(), target.namespace.clone(), name);
        if self.state.lock().objects.contains_key(&key) {
            return failure(409, "AlreadyExists");
        }
        reply(StatusCode::CREATED, &self.change(key, Some(object)))
    }

    /// A service account token, another one every time.
    fn token(&self, mut request: Value) -> Value {
        let life = request["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
        let expires = self.clock.now() + jiff::SignedDuration::from_secs(life);
        let mut state = self.state.lock();
        state.tokens += 1;
        request["status"] =
            json!({"token": format!("token-{}", state.tokens), "expirationTimestamp": expires});
        request
    }

    fn list(&self, target: &Target) -> Response<Body> {
        let state = self.state.lock();
        let items: Vec<_> =
            state.objects.iter().filter(|(k, _)| target.covers(k)).map(|(_, o)| o.clone()).collect();
        let version = state.log.len().to_string();
        reply(
            StatusCode::OK,
            &json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": version}, "items": items}),
        )
    }

    fn watch(&self, target: Target) -> Response<Body> {
        let from = target
            .query
            .split('&')
            .find_map(|q| q.strip_prefix("resourceVersion="))
            .and_then(|v| v.parse().ok());
        let (state, length) = (Arc::clone(&self.state), self.length.subscribe());
        let stream =
            futures::stream::unfold((from.unwrap_or(0usize), length), move |(mut next, mut length)| {
                let (state, target) = (Arc::clone(&state), target.clone());
                async move {
                    loop {
                        let change = state.lock().log.get(next).cloned();
                        let Some((kind, key, object)) = change else {
                            length.changed().await.ok()?;
                            continue;
                        };
                        next += 1;
                        if target.covers(&key) {
                            let line = format!("{}\n", json!({"type": kind, "object": object}));
                            return Some((Ok(Frame::data(Bytes::from(line))), (next, length)));
                        }
                    }
                }
            });
        Response::new(StreamBody::new(stream.boxed()).boxed_unsync())
    }
}

fn reply(code: StatusCode, object: &Value) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(object.to_string())).boxed_unsync());
    *response.status_mut() = code;
    response
}

fn failure(code: u16, reason: &str) -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason});
    reply(StatusCode::from_u16(code).unwrap_or_default(), &status)
}
