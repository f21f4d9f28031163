//! Gangs of a workload, against a real API server.

use std::time::Duration;

use k8s_openapi::api::scheduling::v1alpha1::Workload;
use kube::Api;
use kube::api::PostParams;
use kube_sched::framework::Registry;
use kube_sched::{Config, Settings};
use serde_json::{from_value, json};

use crate::cluster::{Cluster, node_of, scheduled};

fn config() -> Config {
    let document = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n\
        profiles: [{plugins: {multiPoint: {enabled: [{name: GangScheduling}]}}}]";
    Settings::from_yaml(document, &Registry::default()).expect("valid").scheduler
}

async fn member(cluster: &Cluster, name: &str) {
    cluster.create_with(name, "2", json!({"workloadRef": {"name": "w", "podGroup": "gang"}})).await;
}

#[tokio::test]
async fn a_gang_is_bound_together_or_not_at_all() {
    let config = config();
    let waiting = config.waiting_pods.clone();
    let cluster = Cluster::start_with(config).await;
    cluster.ready_node("n1", "4").await;
    let groups = json!([{"name": "gang", "policy": {"gang": {"minCount": 3}}}]);
    let workload: Workload =
        from_value(json!({"metadata": {"name": "w"}, "spec": {"podGroups": groups}})).expect("valid");
    member(&cluster, "a").await;
    let workloads: Api<Workload> = Api::default_namespaced(cluster.client.clone());
    workloads.create(&PostParams::default(), &workload).await.expect("created");
    member(&cluster, "b").await;
    cluster.create_with("plain", "0", json!({})).await;
    cluster.until_bound("plain").await;
    for name in ["a", "b"] {
        let pod = cluster.pods().get(name).await.expect("it is there");
        assert!(scheduled(&pod).is_none(), "{name} does not even enter the queue");
    }
    // There is room for two of the three.
    member(&cluster, "c").await;
    let two_wait = async {
        while waiting.list().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), two_wait).await.expect("two of them have a node");
    let refused =
        ["a", "b", "c"].into_iter().find(|name| waiting.list().iter().all(|pod| pod.pod.name() != *name));
    let refused = refused.expect("one has none");
    let text = |pod: &_| scheduled(pod).and_then(|condition| condition.message.clone()).unwrap_or_default();
    cluster.until(refused, |pod| text(pod).contains("Insufficient cpu")).await;
    for name in ["a", "b", "c"] {
        assert_eq!(node_of(&cluster.pods().get(name).await.expect("it is there")), None);
    }
    cluster.ready_node("n2", "4").await;
    for name in ["a", "b", "c"] {
        cluster.until_bound(name).await;
    }
    assert!(waiting.list().is_empty());
    cluster.stop().await;
}
