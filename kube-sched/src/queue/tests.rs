use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::framework::{ClusterEvent, Profile};
use crate::{NodeInfo, PodInfo};

fn pod(name: &str, priority: i32, spec: Value) -> Arc<PodInfo> {
    let mut pod = json!({"metadata": {"name": name, "namespace": "ns", "uid": name}, "spec": {"containers": [{"name": "c"}], "priority": priority}});
    for (key, value) in spec.as_object().into_iter().flatten() {
        pod["spec"][key] = value.clone();
    }
    Arc::new(PodInfo::parse(serde_json::from_value::<k8s_openapi::api::core::v1::Pod>(pod).unwrap()).unwrap())
}

fn node(tainted: bool) -> ClusterEvent {
    let taints = if tainted { json!([{"key": "a", "effect": "NoSchedule"}]) } else { json!([]) };
    let node = json!({"metadata": {"name": "n"}, "spec": {"taints": taints}});
    ClusterEvent::NodeAdded(Arc::new(NodeInfo::parse(&serde_json::from_value(node).unwrap()).unwrap()))
}

struct Bench {
    queue: SchedulingQueue,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self {
            queue: SchedulingQueue::new(QueueConfig::default(), [Arc::new(Profile::default())]),
            now: Instant::now(),
        }
    }

    fn add(&mut self, name: &str, priority: i32) {
        self.queue.upsert(pod(name, priority, json!({})), self.now);
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn pop(&mut self) -> Option<String> {
        self.queue.pop(self.now).map(|queued| {
            self.queue.done(&queued.pod.key);
            queued.pod.name().to_owned()
        })
    }

    fn fail(&mut self, rejected_by: &[&'static str]) {
        let queued = self.queue.pop(self.now).expect("a pod is active");
        self.queue.fail(queued, rejected_by.to_vec(), self.now);
    }
}

#[test]
fn priority_goes_first_then_age() {
    let mut bench = Bench::new();
    for (name, priority) in [("a", 0), ("b", 5), ("c", 0), ("d", 5)] {
        bench.add(name, priority);
        bench.pass(1);
    }
    let order: Vec<_> = std::iter::from_fn(|| bench.pop()).collect();
    assert_eq!(order, ["b", "d", "a", "c"]);
}

#[test]
fn failures_back_off_from_one_second_to_ten() {
    let mut bench = Bench::new();
    bench.add("a", 0);
    for seconds in [1_u64, 2, 4, 8, 10, 10] {
        bench.fail(&[]);
        assert_eq!(bench.queue.next_deadline(), Some(bench.now + Duration::from_secs(seconds)));
        bench.pass(seconds * 1000 - 1);
        assert!(bench.queue.pop(bench.now).is_none());
        bench.pass(1);
    }
    assert_eq!(bench.pop().as_deref(), Some("a"));
}

#[test]
fn events_wake_the_pods_they_can_help() {
    let mut bench = Bench::new();
    bench.add("a", 0);
    bench.fail(&["TaintToleration"]);
    assert_eq!(bench.queue.sizes(), QueueSizes { unschedulable: 1, ..QueueSizes::default() });
    bench.queue.on_event(&node(true), bench.now);
    assert_eq!(bench.queue.sizes().unschedulable, 1, "the new node is tainted too");
    bench.queue.on_event(&node(false), bench.now);
    assert_eq!(bench.queue.sizes().backoff, 1, "the back-off is not over");
    bench.pass(1000);
    bench.fail(&["TaintToleration"]);
    bench.pass(2000);
    bench.queue.on_event(&node(false), bench.now);
    assert_eq!(bench.queue.sizes().active, 1, "the back-off was over");
}

#[test]
fn an_event_during_the_attempt_is_not_missed() {
    let mut bench = Bench::new();
    bench.queue.on_event(&node(false), bench.now);
    bench.add("a", 0);
    let queued = bench.queue.pop(bench.now).unwrap();
    bench.queue.on_event(&node(false), bench.now);
    bench.queue.fail(queued, vec!["TaintToleration"], bench.now);
    assert_eq!(bench.queue.sizes().backoff, 1);
    bench.pass(1000);
    let queued = bench.queue.pop(bench.now).unwrap();
    bench.queue.on_event(&node(true), bench.now);
    bench.queue.fail(queued, vec!["TaintToleration"], bench.now);
    assert_eq!(bench.queue.sizes().unschedulable, 1, "that event could not help");
}

#[test]
fn leftovers_are_flushed_after_five_minutes() {
    let mut bench = Bench::new();
    bench.add("a", 0);
    bench.fail(&["TaintToleration"]);
    assert_eq!(bench.queue.next_deadline(), Some(bench.now + Duration::from_secs(300)));
    bench.pass(299_999);
    assert_eq!(bench.pop(), None);
    bench.pass(1);
    assert_eq!(bench.pop().as_deref(), Some("a"));
}

#[test]
fn gated_pods_wait_for_their_gates() {
    let mut bench = Bench::new();
    bench.queue.upsert(pod("a", 0, json!({"schedulingGates": [{"name": "g"}]})), bench.now);
    bench.queue.on_event(&node(false), bench.now);
    assert_eq!(bench.queue.sizes(), QueueSizes { gated: 1, ..QueueSizes::default() });
    assert_eq!(bench.queue.next_deadline(), None);
    bench.add("a", 0);
    assert_eq!(bench.pop().as_deref(), Some("a"));
}

#[test]
fn pods_removed_or_changed_in_flight() {
    let mut bench = Bench::new();
    bench.add("a", 0);
    let queued = bench.queue.pop(bench.now).unwrap();
    bench.queue.remove("ns/a");
    bench.queue.fail(queued, Vec::new(), bench.now);
    assert_eq!(bench.queue.sizes(), QueueSizes::default(), "removed while in flight");

    bench.add("b", 0);
    let queued = bench.queue.pop(bench.now).unwrap();
    let tolerant = pod("b", 0, json!({"tolerations": [{"operator": "Exists"}]}));
    bench.queue.upsert(tolerant, bench.now);
    bench.queue.fail(queued, vec!["TaintToleration"], bench.now);
    assert_eq!(bench.queue.sizes().backoff, 1, "the change may help");
    bench.pass(1000);
    assert_eq!(bench.queue.pop(bench.now).unwrap().pod.tolerations().len(), 1);
}

#[test]
fn a_woken_pod_waits_for_its_backoff_only_behind_others() {
    let mut bench = Bench::new();
    for name in ["a", "b"] {
        bench.add(name, 0);
        bench.fail(&["TaintToleration"]);
    }
    bench.queue.on_event(&node(false), bench.now);
    bench.add("fresh", 0);
    assert_eq!(bench.queue.sizes(), QueueSizes { active: 1, backoff: 2, ..QueueSizes::default() });
    let order: Vec<_> = std::iter::from_fn(|| bench.pop()).collect();
    assert_eq!(order, ["fresh", "a", "b"]);
    bench.add("failed", 0);
    bench.fail(&[]);
    assert!(!bench.queue.has_active(), "an error is not repeated at once");
    assert_eq!(bench.pop(), None);
}

#[test]
fn a_held_pod_waits_for_its_release_and_nothing_else() {
    let mut bench = Bench::new();
    let hold = |bench: &mut Bench| {
        let queued = bench.queue.pop(bench.now).expect("a pod is active");
        bench.queue.on_event(&node(false), bench.now);
        bench.queue.hold(queued, vec!["TaintToleration"], bench.now);
        bench.queue.on_event(&node(false), bench.now);
        assert_eq!(bench.queue.sizes(), QueueSizes { unschedulable: 1, ..QueueSizes::default() });
    };
    bench.add("a", 0);
    hold(&mut bench);
    bench.pass(1000);
    bench.queue.release("ns/b", bench.now);
    assert!(!bench.queue.has_active(), "that was another pod");
    bench.queue.release("ns/a", bench.now);
    assert_eq!(bench.queue.sizes().active, 1);

    hold(&mut bench);
    bench.queue.give_up("ns/a", bench.now);
    assert!(!bench.queue.has_active(), "the back-off is not over");
    bench.pass(2000);
    hold(&mut bench);
    bench.pass(300_000);
    assert_eq!(bench.pop().as_deref(), Some("a"), "nobody is held longer than others wait");
}

#[test]
fn pods_are_not_looked_at_for_events_that_cannot_concern_them() {
    let mut bench = Bench::new();
    for number in 0..20_000 {
        let gated = json!({"schedulingGates": [{"name": "g"}]});
        bench.queue.upsert(pod(&format!("gated-{number}"), 0, gated), bench.now);
    }
    let event = node(false);
    // Looking at each of them would take 2e9 looks, which no test would live to see the end of.
    for _ in 0..100_000 {
        bench.queue.on_event(&event, bench.now);
    }
    assert_eq!(bench.queue.sizes().gated, 20_000);
    bench.queue.on_event(&ClusterEvent::Unknown, bench.now);
    assert_eq!(bench.queue.sizes().gated, 20_000, "their gates are still there");
}

#[test]
fn arrivals_are_counted_by_cause() {
    let mut bench = Bench::new();
    bench.add("a", 0);
    bench.fail(&["TaintToleration"]);
    bench.queue.on_event(&node(false), bench.now);
    bench.pass(1000);
    bench.queue.flush(bench.now);
    let counts: Vec<_> =
        bench.queue.take_arrivals().into_iter().map(|(a, n)| (a.queue, a.cause, n)).collect();
    assert_eq!(
        counts,
        [
            ("active", "BackoffComplete", 1),
            ("active", "UnschedulablePodAdd", 1),
            ("backoff", "NodeAdd", 1),
            ("unschedulable", "ScheduleAttemptFailure", 1)
        ]
    );
    assert!(bench.queue.take_arrivals().is_empty());
}

#[test]
fn refused_pods_are_counted_for_each_plugin_until_they_are_tried_again_or_gone() {
    let mut bench = Bench::new();
    let counts = |bench: &mut Bench| -> Vec<_> {
        bench.queue.take_rejections().map(|one| (one.profile, one.plugin, one.pods)).collect()
    };
    for name in ["a", "b"] {
        bench.add(name, 0);
        bench.fail(&["NodeAffinity", "TaintToleration"]);
    }
    assert_eq!(counts(&mut bench), [(0, "NodeAffinity", 2), (0, "TaintToleration", 2)]);
    assert!(counts(&mut bench).is_empty(), "nothing has changed");
    bench.queue.on_event(&node(false), bench.now);
    bench.pass(1000);
    bench.queue.flush(bench.now);
    assert!(counts(&mut bench).iter().all(|(_, _, pods)| *pods == 2), "they only wait elsewhere");
    assert!(bench.pop().is_some());
    assert_eq!(counts(&mut bench), [(0, "NodeAffinity", 1), (0, "TaintToleration", 1)]);
    assert!(bench.queue.remove("ns/a") | bench.queue.remove("ns/b"));
    assert_eq!(counts(&mut bench), [(0, "NodeAffinity", 0), (0, "TaintToleration", 0)]);
}
