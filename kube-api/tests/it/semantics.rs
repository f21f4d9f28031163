//! Lists, deletion, preconditions, subresources, access.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::raw::{Admin, admin, collect};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

async fn pod(admin: &Admin, name: &str) -> Value {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    admin.post("/api/v1/namespaces/default/serviceaccounts", account).await;
    let spec = json!({"containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 30});
    admin
        .post(PODS, json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}))
        .await
        .ok()
}

async fn bind(admin: &Admin, pod: &str) -> crate::raw::Answer {
    let target = json!({"apiVersion": "v1", "kind": "Node", "name": "n1"});
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target});
    admin.post(&format!("{PODS}/{pod}/binding"), binding).await
}

fn names(list: &Value) -> Vec<String> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Upstream's clients ask for nodes that are not unschedulable, and most nodes do not say.
#[tokio::test]
async fn a_field_that_is_absent_selects_as_the_zero_of_its_type() {
    const NODES: &str = "/api/v1/nodes";
    let admin = admin().await;
    for (name, unschedulable) in [("a", Value::Null), ("b", json!(true)), ("c", json!(false))] {
        let spec = json!({"unschedulable": unschedulable});
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec});
        admin.post(NODES, node).await.ok();
    }
    pod(&admin, "p").await;
    let cases = [
        (NODES, "spec.unschedulable=false", vec!["a", "c"]),
        (NODES, "spec.unschedulable!=false", vec!["b"]),
        (NODES, "spec.unschedulable=true", vec!["b"]),
        (PODS, "spec.hostNetwork=false", vec!["p"]),
        (PODS, "spec.nodeName=", vec!["p"]),
    ];
    for (path, selector, expected) in cases {
        let selector = selector.replace('!', "%21").replace('=', "%3D");
        let list = admin.get(&format!("{path}?fieldSelector={selector}")).await.ok();
        assert_eq!(names(&list), expected, "{path} {selector}");
    }
}

#[tokio::test]
async fn an_update_of_version_zero_is_of_any_version() {
    let admin = admin().await;
    let pod = pod(&admin, "p").await;
    let path = format!("{PODS}/p/status");
    let mut wanted = pod.clone();
    wanted["status"]["message"] = json!("first");
    admin.put(&path, wanted.clone()).await.ok();
    wanted["status"]["message"] = json!("second");
    let (code, reason, _) = admin.put(&path, wanted.clone()).await.status();
    assert_eq!((code, reason.as_str()), (409, "Conflict"));
    wanted["metadata"]["resourceVersion"] = json!("0");
    assert_eq!(admin.put(&path, wanted).await.ok()["status"]["message"], "second");
    let mut zero = map("zero");
    zero["metadata"]["resourceVersion"] = json!("0");
    assert_ne!(admin.post(MAPS, zero).await.ok()["metadata"]["resourceVersion"], "0");
}

#[tokio::test]
async fn a_pod_with_gates_says_that_they_block_it() {
    let admin = admin().await;
    pod(&admin, "free").await;
    let spec = json!({"containers": [{"name": "c", "image": "i"}], "schedulingGates": [{"name": "example.com/gate"}]});
    let gated = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gated"}, "spec": spec});
    let condition = &admin.post(PODS, gated).await.ok()["status"]["conditions"][0];
    assert_eq!((&condition["type"], &condition["status"]), (&json!("PodScheduled"), &json!("False")));
    assert_eq!(condition["reason"], "SchedulingGated");
    assert_eq!(condition["message"], "Scheduling is blocked due to non-empty scheduling gates");
    assert_eq!(admin.get(&format!("{PODS}/free")).await.ok()["status"]["conditions"], Value::Null);
}

#[tokio::test]
async fn pages_are_of_one_version_whatever_happens_between() {
    let admin = admin().await;
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..random.usize(5..25) {
            admin.post(MAPS, map(&format!("m{}", random.u32(..1000)))).await;
        }
        let whole: BTreeSet<String> = names(&admin.get(MAPS).await.ok()).into_iter().collect();
        let limit = random.usize(1..6);
        let mut page = admin.get(&format!("{MAPS}?limit={limit}")).await.ok();
        let version = page["metadata"]["resourceVersion"].clone();
        let mut paged = names(&page);
        while let Some(token) = page["metadata"]["continue"].as_str() {
            assert_eq!(paged.len() % limit, 0);
            admin.post(MAPS, map(&format!("new{}", random.u32(..1000)))).await;
            let victim = whole.iter().nth(random.usize(..whole.len())).unwrap();
            admin.delete(&format!("{MAPS}/{victim}")).await;
            page = admin.get(&format!("{MAPS}?limit={limit}&continue={token}")).await.ok();
            assert_eq!(page["metadata"]["resourceVersion"], version);
            paged.extend(names(&page));
        }
        assert_eq!(paged, whole.into_iter().collect::<Vec<_>>(), "seed {seed}");
    }
}

#[tokio::test]
async fn a_list_can_be_of_an_earlier_version() {
    let admin = admin().await;
    let first = admin.post(MAPS, map("a")).await.ok();
    admin.post(MAPS, map("b")).await.ok();
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    let exact = admin.get(&format!("{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact")).await.ok();
    assert_eq!(names(&exact), ["a"]);
    let newer = admin.get(&format!("{MAPS}?resourceVersion={version}")).await.ok();
    assert_eq!(names(&newer), ["a", "b"]);
}

#[tokio::test]
async fn a_running_pod_is_deleted_in_two_steps() {
    let admin = admin().await;
    pod(&admin, "a").await;
    assert_eq!(bind(&admin, "a").await.code, 201);
    let again = bind(&admin, "a").await.status();
    assert_eq!((again.0, again.1.as_str()), (409, "Conflict"));
    let bound = admin.get(&format!("{PODS}/a")).await.ok();
    assert_eq!(bound["spec"]["nodeName"], "n1");
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    let marked = admin.delete(&format!("{PODS}/a")).await.ok();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(admin.get(&format!("{PODS}/a")).await.code, 200);
    let zero = json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}).to_string();
    admin.call(Method::DELETE, &format!("{PODS}/a"), "application/json", zero).await.ok();
    assert_eq!(admin.get(&format!("{PODS}/a")).await.code, 404);
}

#[tokio::test]
async fn a_pod_without_a_node_is_deleted_at_once() {
    let admin = admin().await;
    pod(&admin, "a").await;
    assert_eq!(admin.delete(&format!("{PODS}/a")).await.ok()["kind"], "Pod");
    let gone = admin.get(&format!("{PODS}/a")).await.status();
    assert_eq!(gone, (404, "NotFound".to_owned(), "pods \"a\" not found".to_owned()));
}

#[tokio::test]
async fn finalizers_and_preconditions_hold_a_deletion() {
    let admin = admin().await;
    let mut held = map("a");
    held["metadata"]["finalizers"] = json!(["example.com/wait"]);
    admin.post(MAPS, held).await.ok();
    let target = format!("{MAPS}/a");
    let wrong = json!({"preconditions": {"uid": "another"}}).to_string();
    let status = admin.call(Method::DELETE, &target, "application/json", wrong).await.status();
    assert_eq!(status.0, 409);
    assert!(status.2.contains("Precondition failed: UID in precondition: another"), "{}", status.2);
    let marked = admin.delete(&target).await.ok();
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let more = admin
        .patch(
            &target,
            "merge-patch",
            json!({"metadata": {"finalizers": ["example.com/wait", "example.com/more"]}}),
        )
        .await;
    assert_eq!(more.code, 422);
    admin.patch(&target, "merge-patch", json!({"metadata": {"finalizers": null}})).await.ok();
    assert_eq!(admin.get(&target).await.code, 404);
    admin.post(MAPS, map("b")).await.ok();
    let foreground = admin.delete(&format!("{MAPS}/b?propagationPolicy=Foreground")).await.ok();
    assert_eq!(foreground["metadata"]["finalizers"], json!(["foregroundDeletion"]));
}

#[tokio::test]
async fn namespaces_end_through_finalize() {
    let admin = admin().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}});
    let created = admin.post("/api/v1/namespaces", namespace).await.ok();
    assert_eq!(created["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(created["status"]["phase"], "Active");
    assert_eq!(admin.delete("/api/v1/namespaces/x").await.ok()["status"]["phase"], "Terminating");
    let refused = admin.post("/api/v1/namespaces/x/configmaps", map("a")).await;
    let status = refused.status();
    assert_eq!((status.0, status.1.as_str()), (403, "Forbidden"));
    assert_eq!(refused.json()["details"]["causes"][0]["reason"], "NamespaceTerminating");
    let mut last = admin.get("/api/v1/namespaces/x").await.ok();
    last["spec"]["finalizers"] = json!([]);
    admin.put("/api/v1/namespaces/x/finalize", last).await.ok();
    assert_eq!(admin.get("/api/v1/namespaces/x").await.code, 404);
    assert_eq!(admin.delete("/api/v1/namespaces/default").await.code, 403);
}

#[tokio::test]
async fn services_get_addresses_of_their_own_and_give_them_back() {
    let admin = admin().await;
    let services = "/api/v1/namespaces/default/services";
    let service = |name: &str, address: &str| {
        let mut spec = json!({"type": "NodePort", "ports": [{"port": 80}], "selector": {"a": "b"}});
        if !address.is_empty() {
            spec["clusterIP"] = address.into();
        }
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
    };
    assert_eq!(admin.get(&format!("{services}/kubernetes")).await.ok()["spec"]["clusterIP"], "10.96.0.1");
    let a = admin.post(services, service("a", "")).await.ok();
    let b = admin.post(services, service("b", "")).await.ok();
    assert_ne!(a["spec"]["clusterIP"], b["spec"]["clusterIP"]);
    assert_ne!(a["spec"]["ports"][0]["nodePort"], b["spec"]["ports"][0]["nodePort"]);
    let taken = a["spec"]["clusterIP"].as_str().unwrap();
    let status = admin.post(services, service("c", taken)).await.status();
    assert_eq!((status.0, status.1.as_str()), (422, "Invalid"));
    assert!(status.2.contains("provided IP is already allocated"), "{}", status.2);
    assert_eq!(admin.post(services, service("c", "8.8.8.8")).await.code, 422);
    admin.delete(&format!("{services}/a")).await.ok();
    admin.post(services, service("c", taken)).await.ok();
}

#[tokio::test]
async fn dry_runs_store_nothing() {
    let admin = admin().await;
    assert_eq!(admin.post(&format!("{MAPS}?dryRun=All"), map("a")).await.code, 201);
    assert_eq!(admin.get(&format!("{MAPS}/a")).await.code, 404);
    admin.post(MAPS, map("a")).await.ok();
    admin.patch(&format!("{MAPS}/a?dryRun=All"), "merge-patch", json!({"data": {"a": "b"}})).await.ok();
    admin.delete(&format!("{MAPS}/a?dryRun=All")).await.ok();
    assert_eq!(admin.get(&format!("{MAPS}/a")).await.ok()["data"], Value::Null);
}

#[tokio::test]
async fn strangers_get_nothing_but_health() {
    let admin = admin().await;
    let call = async |target: &str, header: Option<(&str, &str)>| {
        let mut request = http::Request::builder().uri(target);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request = request.body(http_body_util::Full::<bytes::Bytes>::default()).unwrap();
        let response = tower::ServiceExt::oneshot(admin.server.clone(), request).await.unwrap();
        collect(response).await
    };
    for target in ["/healthz", "/livez", "/readyz", "/version"] {
        assert_eq!(call(target, None).await.code, 200, "{target}");
    }
    let (code, reason, message) = call(PODS, None).await.status();
    assert_eq!((code, reason.as_str()), (403, "Forbidden"));
    let expected = "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"";
    assert_eq!(message, expected);
    assert_eq!(call(PODS, Some(("authorization", "Bearer x.y.z"))).await.code, 401);
    assert_eq!(call(PODS, Some(("x-remote-user", "kubernetes-admin"))).await.code, 403);
    assert_eq!(call("/metrics", None).await.code, 403);
    assert!(call("/readyz?verbose", None).await.bytes.ends_with(b"readyz check passed\n"));
    let unknown = admin.get("/nowhere").await;
    assert_eq!((unknown.code, unknown.bytes.as_ref()), (404, b"404 page not found\n".as_slice()));
}

#[tokio::test]
async fn large_lists_are_compressed_for_those_who_ask() {
    let admin = admin().await;
    let mut large = map("a");
    large["data"] = json!({"x": "y".repeat(200_000)});
    admin.post(MAPS, large).await.ok();
    let request = http::Request::builder().uri(MAPS).header("accept-encoding", "gzip");
    let answer = collect(admin.send(request.body(http_body_util::Full::default()).unwrap()).await).await;
    assert_eq!(answer.headers["content-encoding"], "gzip");
    assert!(answer.bytes.len() < 10_000);
    assert!(answer.headers.contains_key("audit-id"));
}
