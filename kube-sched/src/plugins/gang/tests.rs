use serde_json::{Value, from_value, json};

use super::*;
use crate::testing;

fn pod(name: &str, workload: &str, group: &str, replica: &str) -> PodInfo {
    let reference = json!({"name": workload, "podGroup": group, "podGroupReplicaKey": replica});
    of(name, json!({"workloadRef": reference}))
}

/// A workload with a gang of three and a group without demands.
fn cluster() -> Snapshot {
    let mut snapshot = Snapshot::new();
    let groups = json!([{"name": "gang", "policy": {"gang": {"minCount": 3}}}, {"name": "basic", "policy": {"basic": {}}}]);
    let workload = json!({"metadata": {"name": "w", "namespace": "ns"}, "spec": {"podGroups": groups}});
    snapshot.gangs_mut().upsert_workload("ns/w", from_value(workload).unwrap());
    snapshot.upsert_node(Arc::new(testing::node("n", json!({}))));
    snapshot
}

fn of(name: &str, spec: Value) -> PodInfo {
    testing::pod(name, json!({"spec": spec}))
}

fn permit(plugin: &GangScheduling, snapshot: &Snapshot, pod: &PodInfo) -> Result<PermitDecision, String> {
    let binding = Binding { pod, node: "n", volumes: None, devices: None };
    plugin.permit(snapshot, &binding).map_err(|status| status.message())
}

#[test]
fn a_gang_enters_the_queue_when_enough_of_it_is_there() {
    let (plugin, mut snapshot) = (GangScheduling::default(), cluster());
    let mut gate = |pod: &PodInfo, join: &[&PodInfo]| {
        join.iter().for_each(|pod| _ = snapshot.gangs_mut().join(pod));
        plugin.pre_enqueue(pod, &snapshot.gate_view()).map_err(|status| status.message())
    };
    let waiting = Err("waiting for minCount pods from a gang to appear in scheduling queue".to_owned());
    let [a, b, c] = ["a", "b", "c"].map(|name| pod(name, "w", "gang", ""));
    let other = pod("d", "w", "gang", "replica-1");
    assert_eq!(gate(&a, &[&a, &b, &other]), waiting, "replicas are gangs of their own");
    assert_eq!(gate(&a, &[&a, &b]), waiting, "a pod counts once");
    assert_eq!(gate(&a, &[&c]), Ok(()));
    assert_eq!(gate(&other, &[]), waiting);
    assert_eq!(gate(&pod("e", "w", "basic", ""), &[]), Ok(()));
    assert_eq!(gate(&of("f", json!({})), &[]), Ok(()));
    assert_eq!(
        gate(&pod("g", "v", "gang", ""), &[]),
        Err("waiting for pods's workload \"v\" to appear in scheduling queue".to_owned())
    );
    assert_eq!(
        gate(&pod("h", "w", "none", ""), &[]),
        Err("pod group \"none\" doesn't exist for a workload \"w\"".to_owned())
    );
    snapshot.gangs_mut().leave("ns/c");
    assert!(plugin.pre_enqueue(&a, &snapshot.gate_view()).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_gang_is_bound_when_enough_of_it_has_nodes() {
    let (plugin, mut snapshot) = (GangScheduling::default(), cluster());
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| pod(name, "w", "gang", ""));
    [&a, &b, &c, &d].iter().for_each(|pod| _ = snapshot.gangs_mut().join(pod));
    let wait = |seconds| Ok(PermitDecision::Wait(Duration::from_secs(seconds)));
    assert_eq!(permit(&plugin, &snapshot, &a), wait(300));
    snapshot.assume(&a, &"n".into());
    tokio::time::advance(Duration::from_secs(100)).await;
    assert_eq!(permit(&plugin, &snapshot, &b), wait(200), "all wait until the same moment");
    tokio::time::advance(Duration::from_secs(200)).await;
    assert_eq!(permit(&plugin, &snapshot, &b), wait(300), "a new attempt has its own");
    snapshot.assume(&b, &"n".into());
    assert_eq!(
        permit(&plugin, &snapshot, &c),
        Ok(PermitDecision::AllowTogether(vec!["ns/a".into(), "ns/b".into()]))
    );
    snapshot.assume(&c, &"n".into());
    assert!(
        matches!(permit(&plugin, &snapshot, &d), Ok(PermitDecision::AllowTogether(_))),
        "more than enough is fine"
    );
    for free in [pod("x", "w", "basic", ""), of("y", json!({}))] {
        assert_eq!(permit(&plugin, &snapshot, &free), Ok(PermitDecision::Allow));
    }
    snapshot.gangs_mut().remove_workload("ns/w");
    assert_eq!(
        permit(&plugin, &snapshot, &a).unwrap_err(),
        "failed to get workload ns/w: workload.scheduling.k8s.io \"w\" not found"
    );
}

#[test]
fn members_and_workloads_wake_the_gang() {
    let plugin = GangScheduling::default();
    let ours = pod("a", "w", "gang", "1");
    let arrived = |pod: PodInfo| ClusterEvent::GangMemberArrived(Arc::new(pod));
    let workload = |key: &str| ClusterEvent::WorkloadChanged { key: key.into() };
    for (event, wakes) in [
        (arrived(pod("b", "w", "gang", "1")), true),
        (arrived(pod("b", "w", "gang", "2")), false),
        (arrived(pod("b", "v", "gang", "1")), false),
        (workload("ns/w"), true),
        (workload("other/w"), false),
        (ClusterEvent::DevicesChanged, false),
    ] {
        assert_eq!(plugin.hint(&ours, &event) == Hint::Queue, wakes, "{event:?}");
        assert!(!wakes || plugin.events().contains(&event.kind()));
    }
}

#[test]
fn the_plugin_is_off_unless_a_profile_names_it() {
    let on = |text: &str| {
        let document =
            format!("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n{text}");
        let settings = crate::Settings::from_yaml(&document, &crate::framework::Registry::default()).unwrap();
        settings.scheduler.profiles[0].plugin(GangScheduling::NAME).is_some()
    };
    assert!(!on(""));
    assert!(on("profiles: [{plugins: {multiPoint: {enabled: [{name: GangScheduling}]}}}]"));
}
