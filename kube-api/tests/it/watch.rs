//! What watchers see.

use futures::StreamExt;
use http_body_util::{BodyExt, BodyStream, Full};
use serde_json::{Value, json};

use crate::raw::{Admin, admin};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// The lines of a watch as they come.
struct Lines {
    body: BodyStream<kube_api::Body>,
    rest: Vec<u8>,
}

impl Lines {
    async fn start(admin: &Admin, parameters: &str) -> Self {
        let request = http::Request::builder().uri(format!("{MAPS}?watch=true&{parameters}"));
        let response = admin.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(response.status(), 200);
        Self { body: BodyStream::new(response.into_body()), rest: Vec::new() }
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            self.rest.extend(self.body.next().await?.unwrap().into_data().unwrap());
        }
    }

    /// Type and name of the next event.
    async fn event(&mut self) -> (String, String) {
        let event = self.next().await.expect("the watch goes on");
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

fn map(name: &str, label: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"l": label}}})
}

fn event(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

#[tokio::test]
async fn a_watch_begins_with_what_there_is_and_goes_on() {
    let admin = admin().await;
    admin.post(MAPS, map("a", "1")).await.ok();
    let mut lines = Lines::start(&admin, "").await;
    assert_eq!(lines.event().await, event("ADDED", "a"));
    admin.post(MAPS, map("b", "1")).await.ok();
    admin.patch(&format!("{MAPS}/b"), "merge-patch", json!({"data": {"x": "y"}})).await.ok();
    admin.delete(&format!("{MAPS}/a")).await.ok();
    assert_eq!(lines.event().await, event("ADDED", "b"));
    assert_eq!(lines.event().await, event("MODIFIED", "b"));
    assert_eq!(lines.event().await, event("DELETED", "a"));
}

#[tokio::test]
async fn a_watch_from_a_version_misses_nothing() {
    let admin = admin().await;
    let version = admin.get(MAPS).await.ok()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    for name in ["a", "b", "c"] {
        admin.post(MAPS, map(name, "1")).await.ok();
    }
    let mut lines = Lines::start(&admin, &format!("resourceVersion={version}")).await;
    for name in ["a", "b", "c"] {
        assert_eq!(lines.event().await, event("ADDED", name));
    }
}

#[tokio::test]
async fn an_object_that_leaves_the_selector_is_deleted_for_the_watcher() {
    let admin = admin().await;
    let mut lines = Lines::start(&admin, "labelSelector=l%3Din").await;
    let label = async |value: &str| {
        admin
            .patch(&format!("{MAPS}/a"), "merge-patch", json!({"metadata": {"labels": {"l": value}}}))
            .await
            .ok()
    };
    admin.post(MAPS, map("a", "out")).await.ok();
    label("in").await;
    let left = label("out").await;
    label("in").await;
    admin.delete(&format!("{MAPS}/a")).await.ok();
    assert_eq!(lines.event().await, event("ADDED", "a"));
    let gone = lines.next().await.unwrap();
    assert_eq!(gone["type"], "DELETED");
    assert_eq!(gone["object"]["metadata"]["labels"]["l"], "in");
    assert_eq!(gone["object"]["metadata"]["resourceVersion"], left["metadata"]["resourceVersion"]);
    assert_eq!(lines.event().await, event("ADDED", "a"));
    assert_eq!(lines.event().await, event("DELETED", "a"));
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let admin = admin().await;
    admin.post(MAPS, map("a", "1")).await.ok();
    let parameters = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut lines = Lines::start(&admin, parameters).await;
    assert_eq!(lines.event().await, event("ADDED", "a"));
    let mark = lines.next().await.unwrap();
    assert_eq!(mark["type"], "BOOKMARK");
    assert_eq!(mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[tokio::test]
async fn initial_events_can_be_left_out() {
    let admin = admin().await;
    admin.post(MAPS, map("a", "1")).await.ok();
    let mut lines = Lines::start(&admin, "sendInitialEvents=false&resourceVersionMatch=NotOlderThan").await;
    admin.post(MAPS, map("b", "1")).await.ok();
    assert_eq!(lines.event().await, event("ADDED", "b"));
}

#[tokio::test]
async fn bookmarks_come_when_nothing_else_does() {
    let interval = std::time::Duration::from_millis(10);
    let admin =
        Admin::with(kube_api::Config { bookmark_interval: interval, ..kube_api::Config::default() }).await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
    let secret = admin.post("/api/v1/namespaces/default/secrets", secret).await.ok();
    let version = secret["metadata"]["resourceVersion"].as_str().unwrap();
    let mut lines =
        Lines::start(&admin, &format!("allowWatchBookmarks=true&resourceVersion={version}")).await;
    admin
        .post(
            "/api/v1/namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}),
        )
        .await
        .ok();
    let mark = lines.next().await.unwrap();
    assert_eq!(mark["type"], "BOOKMARK");
    let number = |v: &Value| v["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(number(&mark["object"]) > number(&secret));
}

#[tokio::test]
async fn a_watch_ends_after_its_timeout() {
    let admin = admin().await;
    let mut lines = Lines::start(&admin, "timeoutSeconds=1").await;
    assert_eq!(lines.next().await, None);
}

#[tokio::test]
async fn a_version_that_is_forgotten_is_an_error_event() {
    let config = kube_api::Config { watch_ring_bytes: 1, ..kube_api::Config::default() };
    let admin = Admin::with(config).await;
    let first = admin.post(MAPS, map("a", "1")).await.ok();
    for label in ["2", "3", "4"] {
        admin
            .patch(&format!("{MAPS}/a"), "merge-patch", json!({"metadata": {"labels": {"l": label}}}))
            .await
            .ok();
    }
    admin.get(MAPS).await.ok();
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    let mut lines = Lines::start(&admin, &format!("resourceVersion={version}")).await;
    let error = lines.next().await.unwrap();
    assert_eq!(error["type"], "ERROR");
    assert_eq!((&error["object"]["code"], &error["object"]["reason"]), (&json!(410), &json!("Expired")));
    assert_eq!(lines.next().await, None);
}

#[tokio::test]
async fn a_watcher_that_does_not_read_is_cut() {
    let config = kube_api::Config { watch_queue: 4, ..kube_api::Config::default() };
    let admin = Admin::with(config).await;
    let mut lines = Lines::start(&admin, "").await;
    for at in 0..20 {
        admin.post(MAPS, map(&format!("m{at}"), "1")).await.ok();
    }
    admin.get(MAPS).await.ok();
    let mut seen = 0;
    while lines.next().await.is_some() {
        seen += 1;
    }
    assert!(seen < 20, "{seen}");
}

#[tokio::test]
async fn tables_are_watched_too() {
    let admin = admin().await;
    admin.post(MAPS, map("a", "1")).await.ok();
    let request = http::Request::builder().uri(format!("{MAPS}?watch=true&timeoutSeconds=1"));
    let request = request.header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let response = admin.send(request.body(Full::default()).unwrap()).await;
    let mut body = response.into_body();
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let event: Value = serde_json::from_slice(&frame).unwrap();
    assert_eq!(event["object"]["kind"], "Table");
    assert_eq!(event["object"]["rows"][0]["cells"][0], "a");
}
