//! Extenders: what they are asked, and what their answers do.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use kube::Client;
use kube::client::Body;
use kube_sched::framework::Registry;
use kube_sched::{Config, Extender, ExtenderConfig, Settings};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::api::FakeApi;
use crate::{node, pod, run_with, written};

type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// An extender that answers each verb as `answer` says; an answer that is null is a failure.
fn extender(config: ExtenderConfig, answer: fn(&str, &Value) -> Value) -> (Extender, Asked) {
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let log = Arc::clone(&log);
        async move {
            let verb = request.uri().path().trim_start_matches('/').to_owned();
            let body = request.into_body().collect().await.expect("a body").to_bytes();
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            let answer = answer(&verb, &body);
            log.lock().push((verb, body));
            let code = if answer.is_null() { 500 } else { 200 };
            let answer = Full::new(bytes::Bytes::from(answer.to_string()));
            Ok::<_, Infallible>(http::Response::builder().status(code).body(answer).expect("valid"))
        }
    });
    (Extender::new(config, Client::new(service, "default")), asked)
}

fn with(extender: Extender) -> Config {
    Config { extenders: vec![extender], ..Config::default() }
}

fn filtering() -> ExtenderConfig {
    ExtenderConfig { filter_verb: "filter".into(), node_cache_capable: true, ..ExtenderConfig::default() }
}

fn two_nodes() -> FakeApi {
    FakeApi::new(vec![node("n1", "4"), node("n2", "4")], vec![pod("p", "1", "default-scheduler")])
}

fn bound(api: &FakeApi) -> bool {
    !written(api, "POST", "/binding").is_empty()
}

fn target(api: &FakeApi) -> Value {
    written(api, "POST", "/binding")[0]["target"]["name"].clone()
}

async fn message(config: Config, api: &FakeApi) -> (Value, Value) {
    run_with(config, api, |api| !written(api, "PATCH", "/status").is_empty()).await;
    let condition = &written(api, "PATCH", "/status")[0]["status"]["conditions"][0];
    (condition["reason"].clone(), condition["message"].clone())
}

#[tokio::test(start_paused = true)]
async fn a_filter_leaves_what_it_names() {
    // Fields in another case are fine, as they are for upstream.
    let (it, asked) =
        extender(filtering(), |_, _| json!({"nodenames": ["n2"], "FailedNodes": {"n1": "too hot"}}));
    let api = two_nodes();
    run_with(with(it), &api, bound).await;
    assert_eq!(target(&api), "n2");
    let (verb, question) = asked.lock()[0].clone();
    let mut names: Vec<_> =
        question["NodeNames"].as_array().expect("names").iter().map(Value::to_string).collect();
    names.sort();
    assert_eq!((verb.as_str(), names), ("filter", vec!["\"n1\"".to_owned(), "\"n2\"".to_owned()]));
    assert_eq!((&question["Pod"]["metadata"]["name"], &question["Nodes"]), (&json!("p"), &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn an_extender_without_a_cache_gets_whole_nodes() {
    let config = ExtenderConfig { node_cache_capable: false, ..filtering() };
    let (it, asked) = extender(config, |_, question| {
        let nodes = question["Nodes"]["items"].as_array().expect("nodes").iter();
        let left: Vec<_> = nodes.filter(|node| node["metadata"]["annotations"]["cold"] == "yes").collect();
        json!({"Nodes": {"items": left}})
    });
    let mut cold = node("n2", "4");
    cold["metadata"]["annotations"] = json!({"cold": "yes"});
    let api = FakeApi::new(vec![node("n1", "4"), cold], vec![pod("p", "1", "default-scheduler")]);
    run_with(with(it), &api, bound).await;
    assert_eq!(target(&api), "n2");
    assert_eq!(asked.lock()[0].1["NodeNames"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn reasons_of_an_extender_are_the_pods_reasons() {
    let (it, _) = extender(
        filtering(),
        |_, _| json!({"NodeNames": [], "FailedNodes": {"n1": "too hot"}, "FailedAndUnresolvableNodes": {"n2": "on fire"}}),
    );
    let (reason, text) = message(with(it), &two_nodes()).await;
    assert_eq!(reason, "Unschedulable");
    let text = text.as_str().expect("a text");
    assert!(
        text.starts_with(
            "0/2 nodes are available: 1 on fire, 1 too hot. no new claims to deallocate, preemption: "
        ),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_extender_that_fails_matters_unless_it_may_be_ignored() {
    let answers: [fn(&str, &Value) -> Value; 3] =
        [|_, _| Value::Null, |_, _| json!({"Error": "no idea"}), |_, _| json!({"NodeNames": ["elsewhere"]})];
    for answer in answers {
        let (it, _) = extender(filtering(), answer);
        let (reason, text) = message(with(it), &two_nodes()).await;
        assert_eq!(reason, "SchedulerError", "{text}");
        let (it, _) = extender(ExtenderConfig { ignorable: true, ..filtering() }, answer);
        run_with(with(it), &two_nodes(), bound).await;
    }
}

#[tokio::test(start_paused = true)]
async fn scores_count_ten_times_their_weight() {
    let config = |weight| ExtenderConfig {
        prioritize_verb: "rank".into(),
        node_cache_capable: true,
        weight,
        ..ExtenderConfig::default()
    };
    // The plugins would rather have the empty node, by less than an extender can give.
    let mut placed = pod("placed", "2", "default-scheduler");
    placed["spec"]["nodeName"] = "used".into();
    let nodes = || vec![node("empty", "4"), node("used", "4")];
    for (weight, answer, expected) in [
        (1, json!([{"Host": "used", "Score": 0}]), "empty"),
        (5, json!([{"Host": "used", "Score": 10}]), "used"),
    ] {
        let answers: fn(&str, &Value) -> Value = if answer[0]["Score"] == 0 {
            |_, _| json!([{"Host": "used", "Score": 0}])
        } else {
            |_, _| json!([{"Host": "used", "Score": 10}])
        };
        let (it, asked) = extender(config(weight), answers);
        let api = FakeApi::new(nodes(), vec![placed.clone(), pod("p", "1", "default-scheduler")]);
        run_with(with(it), &api, bound).await;
        assert_eq!(target(&api), expected);
        assert_eq!(asked.lock()[0].0, "rank");
    }
}

#[tokio::test(start_paused = true)]
async fn an_extender_may_bind() {
    let config =
        |ignorable| ExtenderConfig { bind_verb: "bind".into(), ignorable, ..ExtenderConfig::default() };
    let scheduled =
        |api: &FakeApi| written(api, "POST", "/events").iter().any(|event| event["reason"] == "Scheduled");
    let (it, asked) = extender(config(false), |_, _| json!({}));
    let api = two_nodes();
    run_with(with(it), &api, scheduled).await;
    assert!(!bound(&api), "nobody else binds");
    let (_, question) = asked.lock()[0].clone();
    assert_eq!(
        (&question["PodName"], &question["PodNamespace"], &question["PodUID"]),
        (&json!("p"), &json!("ns"), &json!("p"))
    );
    assert!(question["Node"].is_string());
    let (it, _) = extender(config(true), |_, _| json!({"Error": "not today"}));
    let api = two_nodes();
    run_with(with(it), &api, scheduled).await;
    assert!(bound(&api), "somebody has to");
}

#[tokio::test(start_paused = true)]
async fn only_pods_with_its_resources_interest_it() {
    let config = ExtenderConfig { managed_resources: ["example.com/gpu".to_owned()].into(), ..filtering() };
    let (it, asked) = extender(config, |_, _| json!({"NodeNames": []}));
    let mut wanting = pod("wanting", "1", "default-scheduler");
    wanting["spec"]["containers"][0]["resources"]["limits"] = json!({"example.com/gpu": "1"});
    let api = FakeApi::new(vec![node("n1", "4")], vec![pod("p", "1", "default-scheduler"), wanting]);
    run_with(with(it), &api, |api| bound(api) && !written(api, "PATCH", "/status").is_empty()).await;
    assert!(asked.lock().iter().all(|(_, question)| question["Pod"]["metadata"]["name"] == "wanting"));
}

#[tokio::test(start_paused = true)]
async fn preemption_is_judged_too() {
    let config = ExtenderConfig {
        preempt_verb: "preempt".into(),
        node_cache_capable: true,
        ..ExtenderConfig::default()
    };
    let (it, asked) = extender(config, |_, question| {
        let spared = question["NodeNameToMetaVictims"]["n2"].clone();
        json!({"NodeNameToMetaVictims": {"n2": spared}})
    });
    let placed = |name: &str, node: &str, priority: i32| {
        let mut pod = pod(name, "2", "default-scheduler");
        pod["spec"]["nodeName"] = node.into();
        pod["spec"]["priority"] = priority.into();
        pod
    };
    let mut waiting = pod("p", "2", "default-scheduler");
    waiting["spec"]["priority"] = 10.into();
    let api = FakeApi::new(
        vec![node("n1", "2"), node("n2", "2")],
        vec![placed("v1", "n1", 1), placed("v2", "n2", 2), waiting],
    );
    run_with(with(it), &api, |api| !written(api, "DELETE", "/pods/").is_empty()).await;
    assert_eq!(written(&api, "DELETE", "/pods/v2").len(), 1, "{:#?}", api.written());
    let victims = asked.lock()[0].1["NodeNameToMetaVictims"].clone();
    assert_eq!(victims["n1"], json!({"Pods": [{"UID": "v1"}], "NumPDBViolations": 0}));
}

#[tokio::test]
async fn settings_lead_to_the_extender() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            stream.read_buf(&mut request).await.expect("a request");
        }
        let answer = r#"{"NodeNames":["n1"]}"#;
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
        stream.write_all((head + answer).as_bytes()).await.expect("an answer");
        String::from_utf8(request).expect("text")
    });
    let text = format!(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nextenders: [{{urlPrefix: 'http://{address}/base/', \
         filterVerb: filter, nodeCacheCapable: true, httpTimeout: 20s, managedResources: [{{name: example.com/gpu, ignoredByScheduler: true}}]}}]"
    );
    let settings = Settings::from_yaml(&text, &Registry::default()).expect("valid");
    let mut config = settings.scheduler;
    let [extender] = settings.extenders.as_slice() else { panic!("one extender") };
    assert_eq!(extender.http_timeout, Duration::from_secs(20));
    config.extenders.push(Extender::connect(extender.clone()).await.expect("connected"));
    let mut wanting = pod("p", "1", "default-scheduler");
    wanting["spec"]["containers"][0]["resources"]["requests"]["example.com/gpu"] = "1".into();
    // No node has the resource, which is the extender's business alone.
    let api = FakeApi::new(vec![node("n1", "4")], vec![wanting]);
    run_with(config, &api, bound).await;
    let request = serving.await.expect("served");
    assert!(request.starts_with("POST /base/filter HTTP/1.1"), "{request}");
}
