//! Objects that are neither nodes nor pods and still have a say in where pods go.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::api::FakeApi;
use crate::cluster::{Cluster, node_of, scheduled};
use crate::{node, pod, run_until, written};

fn labelled(mut object: Value, key: &str, value: &str) -> Value {
    object["metadata"]["labels"][key] = value.into();
    object
}

fn host(name: &str, cpu: &str) -> Value {
    labelled(node(name, cpu), "kubernetes.io/hostname", name)
}

fn placed(name: &str, cpu: &str, node: &str) -> Value {
    let mut pod = pod(name, cpu, "default-scheduler");
    pod["spec"]["nodeName"] = node.into();
    pod
}

/// Where the only pod that waits goes.
async fn target(api: &FakeApi) -> Value {
    run_until(api, |api| !written(api, "POST", "/binding").is_empty()).await;
    written(api, "POST", "/binding")[0]["target"]["name"].clone()
}

#[tokio::test]
async fn a_namespace_that_gets_a_label_helps_a_pod_that_waits_for_company() {
    let cluster = Cluster::start().await;
    for name in ["n1", "n2"] {
        cluster.ready_node(name, "2").await;
        cluster.label(name, "kubernetes.io/hostname", name).await;
    }
    let on = json!({"nodeSelector": {"kubernetes.io/hostname": "n2"}});
    cluster.create_labelled("database", "1", json!({"app": "database"}), on).await;
    cluster.until_bound("database").await;
    let near = json!({"topologyKey": "kubernetes.io/hostname",
        "namespaceSelector": {"matchLabels": {"team": "a"}}, "labelSelector": {"matchLabels": {"app": "database"}}});
    let affinity = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [near]}});
    cluster.create_with("client", "1", json!({"affinity": affinity})).await;
    let refused = "didn't match pod affinity rules";
    let waits = |pod: &_| {
        scheduled(pod).and_then(|c| c.message.as_deref()).is_some_and(|message| message.contains(refused))
    };
    cluster.until("client", waits).await;
    let label = Patch::Merge(json!({"metadata": {"labels": {"team": "a"}}}));
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    namespaces.patch("default", &PatchParams::default(), &label).await.expect("labelled");
    assert_eq!(node_of(&cluster.until_bound("client").await), Some("n2"));
    cluster.stop().await;
}

/// Two nodes with a pod on each; `n1` has the less important one.
fn full(budget: Option<Value>) -> FakeApi {
    let mut victims = [placed("v1", "2", "n1"), placed("v2", "2", "n2")];
    for (victim, priority) in victims.iter_mut().zip([1, 2]) {
        victim["spec"]["priority"] = priority.into();
    }
    let [first, second] = victims;
    let mut waiting = pod("p", "2", "default-scheduler");
    waiting["spec"]["priority"] = 10.into();
    let api = FakeApi::new(
        vec![node("n1", "2"), node("n2", "2")],
        vec![labelled(first, "app", "precious"), second, waiting],
    );
    match budget {
        Some(budget) => api.with("/apis/policy/v1/poddisruptionbudgets", budget),
        None => api,
    }
}

#[tokio::test(start_paused = true)]
async fn preemption_prefers_pods_without_a_spent_budget() {
    let budget = |allowed: i32| {
        json!({"metadata": {"namespace": "ns", "name": "budget"}, "spec": {"selector": {"matchLabels": {"app": "precious"}}},
            "status": {"disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}})
    };
    for (budget, victim) in [(None, "v1"), (Some(budget(1)), "v1"), (Some(budget(0)), "v2")] {
        let api = full(budget.clone());
        run_until(&api, |api| !written(api, "DELETE", "/pods/").is_empty()).await;
        let path = format!("/api/v1/namespaces/ns/pods/{victim}");
        assert_eq!(written(&api, "DELETE", &path).len(), 1, "{budget:?}: {:#?}", api.written());
    }
}

/// A large and a small node with a web server on the large one, and another one that waits.
fn web(owner: Option<&str>) -> FakeApi {
    let server = |mut pod: Value| {
        if let Some(kind) = owner {
            pod["metadata"]["ownerReferences"] =
                json!([{"apiVersion": "v1", "kind": kind, "name": "web", "uid": "u", "controller": true}]);
        }
        labelled(pod, "app", "web")
    };
    FakeApi::new(
        vec![host("large", "64"), host("small", "4")],
        vec![server(placed("w1", "500m", "large")), server(pod("w2", "500m", "default-scheduler"))],
    )
}

fn owner(selector: &Value) -> Value {
    json!({"metadata": {"namespace": "ns", "name": "web"},
        "spec": {"selector": selector, "serviceName": "web", "template": {}}})
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_service_or_workload_are_spread() {
    assert_eq!(target(&web(None)).await, "large", "nothing spreads it");
    let (labels, selector) = (json!({"app": "web"}), json!({"matchLabels": {"app": "web"}}));
    assert_eq!(target(&web(None).with("/api/v1/services", owner(&labels))).await, "small");
    let controllers = [
        ("ReplicationController", "/api/v1/replicationcontrollers", labels),
        ("ReplicaSet", "/apis/apps/v1/replicasets", selector.clone()),
        ("StatefulSet", "/apis/apps/v1/statefulsets", selector),
    ];
    for (kind, path, selector) in controllers {
        assert_eq!(target(&web(Some(kind))).await, "large", "{kind} is not there");
        assert_eq!(target(&web(Some(kind)).with(path, owner(&selector))).await, "small", "{kind}");
    }
}
