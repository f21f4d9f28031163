//! The conformance suite's entries of sig-scheduling that a scheduler can show without nodes that run anything. Each
//! test names its entry. The entries about limit ranges and the endpoints of priority classes are the server's: they are in
//! `kube-api/tests/it/scheduling.rs`.

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, from_value, json};

use crate::cluster::{Cluster, node_of, scheduled};

/// Whether the scheduler has said that the pod fits nowhere, for this reason.
fn pending(pod: &Pod, reason: &str) -> bool {
    scheduled(pod).is_some_and(|condition| {
        condition.status == "False" && condition.message.as_deref().unwrap_or_default().contains(reason)
    })
}

impl Cluster {
    pub(crate) async fn label(&self, node: &str, key: &str, value: &str) {
        let patch = Patch::Merge(json!({"metadata": {"labels": {key: value}}}));
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes.patch(node, &PatchParams::default(), &patch).await.expect("labelled");
    }

    async fn priority_class(&self, name: &str, value: i32) {
        let class: PriorityClass =
            from_value(json!({"metadata": {"name": name}, "value": value})).expect("valid");
        let api: Api<PriorityClass> = Api::all(self.client.clone());
        api.create(&PostParams::default(), &class).await.expect("created");
    }

    /// A pod of a priority class, with the priority that admission computes from it.
    async fn create_prior(&self, name: &str, cpu: &str, class: &str, priority: i32) {
        self.create_with(name, cpu, json!({"priorityClassName": class, "priority": priority})).await;
    }

    /// Does what a kubelet does once the containers of a pod under deletion have ended.
    async fn end(&self, name: &str) {
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        // It may be gone already, if nothing had to be waited for.
        _ = self.pods().delete(name, &now).await;
    }

    /// Waits until the scheduler has evicted a pod, and lets it go.
    async fn preempted(&self, name: &str) -> Pod {
        let disrupted = |pod: &Pod| condition(pod, "DisruptionTarget").is_some();
        let pod = self.until(name, disrupted).await;
        self.until(name, |pod| pod.metadata.deletion_timestamp.is_some()).await;
        self.end(name).await;
        pod
    }
}

fn condition(pod: &Pod, kind: &str) -> Option<Value> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|condition| condition.type_ == kind)?;
    serde_json::to_value(found).ok()
}

/// SchedulerPredicates: validates resource limits of pods that are allowed to run.
#[tokio::test]
async fn requests_beyond_a_machines_capacity_fail() {
    let cluster = Cluster::start().await;
    cluster.ready_node("n", "2").await;
    cluster.create_with("filler", "1500m", json!({})).await;
    cluster.until_bound("filler").await;
    cluster.create_with("additional", "1", json!({})).await;
    cluster.until("additional", |pod| pending(pod, "Insufficient cpu")).await;
    cluster.stop().await;
}

/// SchedulerPredicates: validates that NodeSelector is respected if matching, and if not matching.
#[tokio::test]
async fn node_selectors_are_respected() {
    let cluster = Cluster::start().await;
    for name in ["n1", "n2"] {
        cluster.ready_node(name, "2").await;
    }
    let selector = json!({"nodeSelector": {"example.com/kind": "42"}});
    cluster.create_with("with-labels", "1", selector).await;
    cluster.until("with-labels", |pod| pending(pod, "didn't match Pod's node affinity/selector")).await;
    cluster.label("n2", "example.com/kind", "42").await;
    assert_eq!(node_of(&cluster.until_bound("with-labels").await), Some("n2"));
    cluster.stop().await;
}

/// SchedulerPredicates: validates that there exists conflict between pods with same hostPort and protocol but one using
/// 0.0.0.0 hostIP.
#[tokio::test]
async fn host_ports_on_all_addresses_conflict_with_those_on_one() {
    let cluster = Cluster::start().await;
    cluster.ready_node("n", "2").await;
    let port = |ip: &str, protocol: &str| {
        json!({"containers": [{"name": "c", "image": "pause",
            "ports": [{"containerPort": 80, "hostPort": 54322, "hostIP": ip, "protocol": protocol}]}]})
    };
    cluster.create_with("all", "0", port("0.0.0.0", "TCP")).await;
    cluster.until_bound("all").await;
    cluster.create_with("one", "0", port("127.0.0.1", "TCP")).await;
    cluster.until("one", |pod| pending(pod, "didn't have free ports")).await;
    cluster.create_with("other", "0", port("127.0.0.1", "UDP")).await;
    cluster.until_bound("other").await;
    cluster.stop().await;
}

/// SchedulerPreemption: validates basic preemption works; validates pod disruption condition is added to the preempted
/// pod.
#[tokio::test]
async fn a_higher_priority_takes_the_place_of_a_lower_one() {
    let cluster = Cluster::start().await;
    cluster.priority_class("low", 1).await;
    cluster.priority_class("high", 1000).await;
    cluster.ready_node("n", "2").await;
    cluster.create_prior("victim", "2", "low", 1).await;
    cluster.until_bound("victim").await;
    cluster.create_prior("preemptor", "2", "high", 1000).await;
    let victim = cluster.preempted("victim").await;
    let disruption = condition(&victim, "DisruptionTarget").expect("it is there");
    assert_eq!(
        (&disruption["status"], &disruption["reason"]),
        (&json!("True"), &json!("PreemptionByScheduler"))
    );
    assert_eq!(disruption["message"], "default-scheduler: preempting to accommodate a higher priority pod");
    let preemptor = cluster.until_bound("preemptor").await;
    assert_eq!(node_of(&preemptor), Some("n"));
    let event = cluster.event("victim", "Preempted").await;
    let uid = preemptor.metadata.uid.unwrap_or_default();
    assert_eq!(event.message, Some(format!("Preempted by pod {uid} on node n")));
    cluster.stop().await;
}

/// SchedulerPreemption: validates lower priority pod preemption by critical pod.
#[tokio::test]
async fn a_critical_pod_finds_a_place() {
    let cluster = Cluster::start().await;
    cluster.priority_class("low", 1).await;
    cluster.ready_node("n", "2").await;
    cluster.create_prior("victim", "2", "low", 1).await;
    cluster.until_bound("victim").await;
    // Exists in every cluster, and admission puts its value into the pod.
    cluster.create_prior("critical", "2", "system-cluster-critical", 2_000_000_000).await;
    cluster.preempted("victim").await;
    assert_eq!(node_of(&cluster.until_bound("critical").await), Some("n"));
    cluster.stop().await;
}

/// SchedulerPreemption: PreemptionExecutionPath runs ReplicaSets to verify preemption running path. The pods stand for
/// those of the sets.
#[tokio::test]
async fn the_highest_of_four_levels_takes_what_it_needs_from_the_lowest() {
    let cluster = Cluster::start().await;
    for level in 1..=4 {
        cluster.priority_class(&format!("p{level}"), level).await;
    }
    cluster.ready_node("n", "10").await;
    for (name, cpu, level) in [("p1-a", "2", 1), ("p1-b", "2", 1), ("p2", "3", 2), ("p3", "3", 3)] {
        cluster.create_prior(name, cpu, &format!("p{level}"), level).await;
        cluster.until_bound(name).await;
    }
    cluster.create_prior("p4", "4", "p4", 4).await;
    for name in ["p1-a", "p1-b"] {
        cluster.preempted(name).await;
    }
    cluster.until_bound("p4").await;
    for name in ["p2", "p3"] {
        let pod = cluster.pods().get(name).await.expect("it is still there");
        assert_eq!(condition(&pod, "DisruptionTarget"), None, "{name}");
    }
    cluster.stop().await;
}

/// Scheduling readiness: gates hold a pod back, and nothing else does.
#[tokio::test]
async fn a_gated_pod_waits_for_its_gate() {
    let cluster = Cluster::start().await;
    cluster.ready_node("n", "2").await;
    cluster.create_with("gated", "1", json!({"schedulingGates": [{"name": "example.com/wait"}]})).await;
    cluster.create_with("free", "1", json!({})).await;
    cluster.until_bound("free").await;
    let gated = cluster.pods().get("gated").await.expect("it is there");
    assert_eq!(node_of(&gated), None);
    let patch = Patch::Merge(json!({"spec": {"schedulingGates": []}}));
    cluster.pods().patch("gated", &PatchParams::default(), &patch).await.expect("ungated");
    cluster.until_bound("gated").await;
    cluster.stop().await;
}

/// Not in the suite: a victim without a grace period is gone at once, and the preemptor need not wait for a node agent.
#[tokio::test]
async fn a_victim_without_grace_makes_room_by_itself() {
    let cluster = Cluster::start().await;
    cluster.priority_class("high", 1000).await;
    cluster.ready_node("n", "2").await;
    for number in 0..4 {
        let spec = json!({"terminationGracePeriodSeconds": 0});
        cluster.create_with(&format!("victim-{number}"), "500m", spec).await;
        cluster.until_bound(&format!("victim-{number}")).await;
    }
    cluster.create_prior("preemptor", "2", "high", 1000).await;
    assert_eq!(node_of(&cluster.until_bound("preemptor").await), Some("n"));
    cluster.stop().await;
}
