use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::Full;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::driver::watched::ROWS;

/// A server that answers one request after the other with what is written here, and then no more.
fn serving(script: Vec<(u16, String)>) -> (Client, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (log, script) = (Arc::clone(&asked), Arc::new(Mutex::new(script.into_iter())));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let next = script.lock().next();
        log.lock().push(request.uri().to_string());
        async move {
            let Some((code, text)) = next else { return std::future::pending().await };
            let answer = http::Response::builder().status(code).body(Full::new(bytes::Bytes::from(text)));
            Ok::<_, Infallible>(answer.expect("valid"))
        }
    });
    (Client::new(service, "default"), asked)
}

fn pod(name: &str, version: &str) -> Value {
    json!({"metadata": {"namespace": "ns", "name": name, "resourceVersion": version}})
}

fn list(version: &str, token: &str, items: &[Value]) -> (u16, String) {
    (200, json!({"metadata": {"resourceVersion": version, "continue": token}, "items": items}).to_string())
}

fn failure(code: u16) -> (u16, String) {
    (
        code,
        json!({"kind": "Status", "status": "Failure", "code": code, "message": "no", "reason": "no"})
            .to_string(),
    )
}

/// A watch that ends after these events.
fn events(events: &[(&str, Value)]) -> (u16, String) {
    // The type comes last, which is allowed and unusual.
    let lines = events.iter().map(|(kind, object)| format!("{{\"object\":{object},\"type\":{kind:?}}}\n"));
    (200, lines.collect())
}

/// The first things that are told about pods, and the requests that were made for them.
async fn told(script: Vec<(u16, String)>, number: usize) -> (Vec<String>, Vec<String>) {
    let (client, asked) = serving(script);
    let (sender, mut changes) = mpsc::channel(1);
    let row = ROWS.iter().find(|row| row.path == "/api/v1/pods").expect("a row");
    let running = tokio::spawn(Reflector::new(client, row, sender, Rng::with_seed(1)).run());
    let mut told = Vec::new();
    while told.len() < number {
        told.push(match changes.recv().await.expect("running") {
            Observed::Pod(pod) => format!("+{}", pod.key),
            Observed::PodGone(key) => format!("-{key}"),
            Observed::Synced(_) => "synced".to_owned(),
            other => format!("{other:?}"),
        });
    }
    drop(changes);
    running.abort();
    let asked = asked.lock().clone();
    (told, asked)
}

#[tokio::test(start_paused = true)]
async fn a_list_deletes_what_it_does_not_name() {
    let script = vec![
        list("5", "more", &[pod("a", "3")]),
        list("5", "", &[pod("b", "4")]),
        events(&[
            ("ADDED", pod("c", "6")),
            ("DELETED", pod("b", "7")),
            ("BOOKMARK", json!({"metadata": {"resourceVersion": "9"}})),
        ]),
        events(&[("ERROR", json!({"code": 410, "message": "too old"}))]),
        list("12", "", &[pod("c", "6")]),
        events(&[("MODIFIED", pod("c", "13"))]),
    ];
    let (told, asked) = told(script, 8).await;
    assert_eq!(told, ["+ns/a", "+ns/b", "synced", "+ns/c", "-ns/b", "+ns/c", "-ns/a", "synced"]);
    let versions: Vec<_> = asked.iter().filter_map(|uri| uri.split("resourceVersion=").nth(1)).collect();
    assert_eq!(versions[..2], ["5", "9"], "a watch goes on from the last version: {asked:?}");
    assert!(asked[1].contains("continue=more"), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn pods_that_are_alike_are_held_once() {
    let script = vec![
        list("5", "more", &[pod("a", "3")]),
        list("5", "", &[pod("b", "4")]),
        events(&[("ADDED", pod("c", "6"))]),
    ];
    let (client, _) = serving(script);
    let (sender, mut changes) = mpsc::channel(1);
    let row = ROWS.iter().find(|row| row.path == "/api/v1/pods").expect("a row");
    let running = tokio::spawn(Reflector::new(client, row, sender, Rng::with_seed(1)).run());
    let mut pods = Vec::new();
    while pods.len() < 3 {
        if let Observed::Pod(pod) = changes.recv().await.expect("running") {
            pods.push(pod);
        }
    }
    running.abort();
    assert!(pods.iter().all(|pod| Arc::ptr_eq(&pod.template, &pods[0].template)));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_is_empty_and_what_fails_is_waited_for() {
    let (gone, _) = told(vec![failure(404), list("1", "", &[pod("a", "1")])], 3).await;
    assert_eq!(gone, ["synced", "+ns/a", "synced"]);
    let (withheld, _) = told(vec![failure(403), failure(500), list("1", "", &[pod("a", "1")])], 2).await;
    assert_eq!(withheld, ["+ns/a", "synced"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_makes_no_sense_hides_no_other() {
    let odd = json!({"metadata": {"namespace": "ns", "name": "odd"}, "spec": 7});
    let (told, _) = told(vec![list("1", "", &[odd, pod("a", "1")])], 2).await;
    assert_eq!(told, ["+ns/a", "synced"]);
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_ever_more_rarely() {
    let start = Instant::now();
    let mut script = vec![failure(500); 12];
    script.push(list("1", "", &[]));
    told(script, 1).await;
    // 50 ms doubled nine times is 25.6 s, and the rest is 30 s each; at most twice as long with what spreads them.
    let waited = start.elapsed();
    assert!(waited > Duration::from_secs(100) && waited < Duration::from_secs(250), "{waited:?}");
}
