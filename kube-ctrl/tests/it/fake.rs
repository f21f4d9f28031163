//! A small in-memory API server: enough of the generic object path for controllers to work against.

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use kube_ctrl::Clock;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::watch;

/// Group version, plural, kind, whether namespaced.
const KINDS: [(&str, &str, &str, bool); 15] = [
    ("v1", "pods", "Pod", true),
    ("v1", "services", "Service", true),
    ("v1", "endpoints", "Endpoints", true),
    ("v1", "configmaps", "ConfigMap", true),
    ("v1", "serviceaccounts", "ServiceAccount", true),
    ("v1", "events", "Event", true),
    ("v1", "namespaces", "Namespace", false),
    ("v1", "nodes", "Node", false),
    ("apps/v1", "replicasets", "ReplicaSet", true),
    ("apps/v1", "deployments", "Deployment", true),
    ("discovery.k8s.io/v1", "endpointslices", "EndpointSlice", true),
    ("coordination.k8s.io/v1", "leases", "Lease", true),
    ("resource.k8s.io/v1", "resourceclaims", "ResourceClaim", true),
    ("resource.k8s.io/v1", "resourceclaimtemplates", "ResourceClaimTemplate", true),
    ("example.com/v1", "widgets", "Widget", true),
];

type Id = (String, String, String);
type Answer = Result<Value, (u16, &'static str, String)>;

/// The server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    grown: watch::Sender<usize>,
    clock: Clock,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<Id, Value>,
    log: Vec<(u64, &'static str, Id, Value)>,
    revision: u64,
}

struct Path {
    group_version: String,
    plural: String,
    namespace: String,
    name: String,
    subresource: String,
}

impl Fake {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { state: Arc::default(), grown: watch::channel(0).0, clock }
    }

    pub(crate) fn client(&self) -> kube::Client {
        let fake = self.clone();
        kube::Client::new(tower::service_fn(move |request| fake.clone().serve(request)), "default")
    }

    async fn serve(self, request: Request<kube::client::Body>) -> Result<Response<Stream>, Infallible> {
        let (parts, body) = request.into_parts();
        let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let query: HashMap<String, String> = parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect();
        // Others get a turn in the middle of every request, as over a network.
        tokio::task::yield_now().await;
        if let Some(answer) = discovery(parts.uri.path()) {
            return Ok(respond(Ok(answer)));
        }
        let Some(path) = Path::parse(parts.uri.path()) else {
            return Ok(respond(Err((404, "NotFound", parts.uri.path().to_owned()))));
        };
        if query.contains_key("watch") {
            let from = query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
            return Ok(self.watch(path, from));
        }
        let answer = self.handle(&parts.method, &path, body);
        self.grown.send_replace(self.state.lock().log.len());
        Ok(respond(answer))
    }

    fn watch(&self, path: Path, from: u64) -> Response<Stream> {
        let (state, grown) = (self.state.clone(), self.grown.subscribe());
        let frames = stream::unfold((0, grown), move |(at, mut grown)| {
            let (state, plural) = (state.clone(), path.plural.clone());
            async move {
                loop {
                    let (lines, next) = lines(&state.lock(), &plural, from, at);
                    if !lines.is_empty() {
                        return Some((Ok(http_body::Frame::data(Bytes::from(lines))), (next, grown)));
                    }
                    grown.changed().await.ok()?;
                }
            }
        });
        Response::new(StreamBody::new(frames.boxed()))
    }

    fn handle(&self, method: &Method, path: &Path, body: Value) -> Answer {
        let mut state = self.state.lock();
        let now = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        match (method.as_str(), path.name.is_empty()) {
            ("GET", true) => Ok(state.list(path)),
            ("GET", false) => state.get(path).cloned(),
            ("POST", _) if path.subresource == "binding" => {
                let mut bound = state.get(path)?.clone();
                bound["spec"]["nodeName"] = body["target"]["name"].clone();
                state.update(path, bound)
            }
            ("POST", _) => state.create(path, body, &now),
            ("PUT", _) => state.update(path, body),
            ("PATCH", _) => {
                let mut merged = state.get(path)?.clone();
                let expected = body["metadata"]["resourceVersion"].as_str();
                if expected.is_some_and(|expected| merged["metadata"]["resourceVersion"] != expected) {
                    return Err((409, "Conflict", "stale patch".into()));
                }
                merge(&mut merged, &body);
                state.update(path, merged)
            }
            ("DELETE", false) => state.delete(path, &body, &now),
            ("DELETE", true) => {
                for (_, namespace, name) in state.ids(path) {
                    let one = Path { namespace, name, ..path.clone() };
                    state.delete(&one, &body, &now)?;
                }
                Ok(state.list(path))
            }
            _ => Err((405, "MethodNotAllowed", method.to_string())),
        }
    }
}

impl Clone for Path {
    fn clone(&self) -> Self {
        let Self { group_version, plural, namespace, name, subresource } = self;
        let (group_version, plural, namespace) = (group_version.clone(), plural.clone(), namespace.clone());
        Self { group_version, plural, namespace, name: name.clone(), subresource: subresource.clone() }
    }
}

impl Path {
    fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group_version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, plural, rest @ ..] if !matches!(*plural, "status" | "finalize") => {
                (*namespace, [&[*plural], rest].concat())
            }
            rest => ("", rest.to_vec()),
        };
        let part = |at: usize| rest.get(at).copied().unwrap_or_default().to_owned();
        KINDS.iter().any(|kind| kind.1 == part(0)).then(|| Self {
            group_version,
            plural: part(0),
            namespace: namespace.into(),
            name: part(1),
            subresource: part(2),
        })
    }

    fn id(&self) -> Id {
        (self.plural.clone(), self.namespace.clone(), self.name.clone())
    }
}

impl State {
    fn ids(&self, path: &Path) -> Vec<Id> {
        let here = |id: &&Id| id.0 == path.plural && (path.namespace.is_empty() || id.1 == path.namespace);
        self.objects.keys().filter(here).cloned().collect()
    }

    fn list(&self, path: &Path) -> Value {
        let items: Vec<&Value> = self.ids(path).iter().filter_map(|id| self.objects.get(id)).collect();
        let kind = KINDS.iter().find(|kind| kind.1 == path.plural).map_or("", |kind| kind.2);
        json!({"apiVersion": path.group_version, "kind": format!("{kind}List"), "items": items,
               "metadata": {"resourceVersion": self.revision.to_string()}})
    }

    fn get(&self, path: &Path) -> Result<&Value, (u16, &'static str, String)> {
        self.objects
            .get(&path.id())
            .ok_or_else(|| (404, "NotFound", format!("{} {:?} not found", path.plural, path.name)))
    }

    fn write(&mut self, event: &'static str, id: Id, mut object: Value) -> Value {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        match event {
            "DELETED" => self.objects.remove(&id),
            _ => self.objects.insert(id.clone(), object.clone()),
        };
        self.log.push((self.revision, event, id, object.clone()));
        object
    }

    fn create(&mut self, path: &Path, mut object: Value, now: &str) -> Answer {
        let serial = self.revision + 1;
        let meta = &mut object["metadata"];
        if meta["name"].is_null() {
            meta["name"] = format!("{}{serial:05}", meta["generateName"].as_str().unwrap_or_default()).into();
        }
        let path = Path { name: meta["name"].as_str().unwrap_or_default().into(), ..path.clone() };
        if self.objects.contains_key(&path.id()) {
            return Err((409, "AlreadyExists", format!("{} {:?} already exists", path.plural, path.name)));
        }
        meta["uid"] = format!("uid-{serial}").into();
        meta["creationTimestamp"] = now.into();
        meta["generation"] = 1.into();
        if !path.namespace.is_empty() {
            meta["namespace"] = path.namespace.clone().into();
        }
        if path.plural == "namespaces" {
            object["spec"]["finalizers"] = json!(["kubernetes"]);
        }
        Ok(self.write("ADDED", path.id(), object))
    }

    fn update(&mut self, path: &Path, mut object: Value) -> Answer {
        let old = self.get(path)?.clone();
        let expected = &object["metadata"]["resourceVersion"];
        if !expected.is_null() && *expected != old["metadata"]["resourceVersion"] {
            return Err((409, "Conflict", "the object has been modified".into()));
        }
        match path.subresource.as_str() {
            "status" => object = with(&old, "status", &object["status"]),
            "finalize" => object = with(&old, "spec", &object["spec"]),
            _ => object = with(&object, "status", &old["status"]),
        }
        if object["spec"] != old["spec"] {
            object["metadata"]["generation"] =
                (old["metadata"]["generation"].as_u64().unwrap_or(0) + 1).into();
        }
        if object == old {
            return Ok(old);
        }
        let event = if is_done(&object, &path.plural) { "DELETED" } else { "MODIFIED" };
        Ok(self.write(event, path.id(), object))
    }

    fn delete(&mut self, path: &Path, options: &Value, now: &str) -> Answer {
        let mut object = self.get(path)?.clone();
        let uid = &options["preconditions"]["uid"];
        if !uid.is_null() && *uid != object["metadata"]["uid"] {
            return Err((409, "Conflict", "another uid".into()));
        }
        let scheduled = object["spec"]["nodeName"].is_string();
        let grace = match path.plural.as_str() {
            "pods" if scheduled => options["gracePeriodSeconds"].as_u64().unwrap_or(30),
            _ => 0,
        };
        let held = match options["propagationPolicy"].as_str() {
            Some("Foreground") => Some("foregroundDeletion"),
            Some("Orphan") => Some("orphan"),
            _ => None,
        };
        let meta = &mut object["metadata"];
        if let Some(held) = held {
            let mut finalizers = meta["finalizers"].as_array().cloned().unwrap_or_default();
            finalizers.push(held.into());
            meta["finalizers"] = finalizers.into();
        }
        if meta["deletionTimestamp"].is_null() {
            meta["deletionTimestamp"] = now.into();
        }
        meta["deletionGracePeriodSeconds"] = grace.into();
        let event = if is_done(&object, &path.plural) { "DELETED" } else { "MODIFIED" };
        Ok(self.write(event, path.id(), object))
    }
}

/// Whether nothing keeps an object that is being deleted.
fn is_done(object: &Value, plural: &str) -> bool {
    let meta = &object["metadata"];
    let finalizers = if plural == "namespaces" { &object["spec"]["finalizers"] } else { &meta["finalizers"] };
    let held = finalizers.as_array().is_some_and(|finalizers| !finalizers.is_empty());
    meta["deletionTimestamp"].is_string()
        && !held
        && meta["deletionGracePeriodSeconds"].as_u64().unwrap_or(0) == 0
}

fn with(object: &Value, field: &str, value: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove(field);
        if !value.is_null() {
            map.insert(field.into(), value.clone());
        }
    }
    object
}

fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else { return *target = patch.clone() };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        match value {
            Value::Null => drop(target.as_object_mut().and_then(|map| map.remove(name))),
            Value::Object(_) => merge(&mut target[name], value),
            _ => target[name] = value.clone(),
        }
    }
}

fn lines(state: &State, plural: &str, from: u64, at: usize) -> (String, usize) {
    let mut lines = String::new();
    for (revision, event, id, object) in &state.log[at..] {
        if *revision > from && id.0 == plural {
            lines += &json!({"type": event, "object": object}).to_string();
            lines.push('\n');
        }
    }
    (lines, state.log.len())
}

fn discovery(path: &str) -> Option<Value> {
    let groups =
        ["apps/v1", "discovery.k8s.io/v1", "coordination.k8s.io/v1", "resource.k8s.io/v1", "example.com/v1"];
    let version = match path {
        "/apis" => {
            let group = |version: &&str| {
                let name = version.split('/').next();
                let version = json!({"groupVersion": version, "version": "v1"});
                json!({"name": name, "versions": [version], "preferredVersion": version})
            };
            return Some(
                json!({"kind": "APIGroupList", "groups": groups.iter().map(group).collect::<Vec<_>>()}),
            );
        }
        "/api/v1" => "v1",
        path => groups.into_iter().find(|group| path.strip_prefix("/apis/") == Some(group))?,
    };
    let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let kinds = KINDS.iter().filter(|kind| kind.0 == version);
    let resources: Vec<Value> = kinds
        .map(|(_, plural, kind, namespaced)| {
            json!({"name": plural, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": verbs})
        })
        .collect();
    Some(json!({"kind": "APIResourceList", "groupVersion": version, "resources": resources}))
}

type Stream = StreamBody<BoxStream<'static, Result<http_body::Frame<Bytes>, Infallible>>>;

fn respond(answer: Answer) -> Response<Stream> {
    let (code, body) = match answer {
        Ok(body) => (200, body),
        Err((code, reason, message)) => (
            code,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}),
        ),
    };
    let frame = Ok(http_body::Frame::data(Bytes::from(body.to_string())));
    let mut response = Response::new(StreamBody::new(stream::iter([frame]).boxed()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
    response
}
