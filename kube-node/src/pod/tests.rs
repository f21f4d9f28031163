use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::api::resource::Quantity};
use proptest::prelude::*;
use serde_json::json;

use super::{
    backoff::{Backoff, in_words},
    expand::expand,
    observed::{Busy, Memory, Observed, Volumes},
    plan::{Action, Input, Wish, plan},
    quantity,
    resources::{Qos, qos_class, shares},
    spec::containers,
};
use crate::seam::{ContainerId, ContainerState, ContainerStatus, SandboxId, SandboxState, SandboxStatus};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).expect("in range")
}

fn pod(spec: serde_json::Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "d", "uid": "u"}, "spec": spec}))
        .expect("a pod")
}

#[test]
fn quantities_are_read_exactly_and_rounded_up() {
    let check = |text: &str, value: i64, millis: i64| {
        let quantity = Quantity(text.to_owned());
        assert_eq!((quantity::value(&quantity), quantity::millis(&quantity)), (value, millis), "{text}");
    };
    check("100m", 1, 100);
    check("1.5", 2, 1500);
    check("0.0001", 1, 1);
    check("2Ki", 2048, 2_048_000);
    check("1.5Gi", 1_610_612_736, 1_610_612_736_000);
    check("1e3", 1000, 1_000_000);
    check("5M", 5_000_000, 5_000_000_000);
    check("nonsense", 0, 0);
    check("", 0, 0);
}

#[test]
fn references_are_expanded() {
    let check = |text: &str, expected: &str| {
        let found = expand(text, |name| (name == "A").then(|| "x".to_owned()));
        assert_eq!(found, expected, "{text}");
    };
    check("$(A)-$(B)", "x-$(B)");
    check("$$(A) $A $", "$(A) $A $");
    check("$(A", "$(A");
}

#[test]
fn back_off_doubles_to_five_minutes_and_is_forgotten() {
    let mut entry = Backoff::next(None, at(0));
    assert_eq!(Backoff::until(None, at(0), at(0)), None, "the first restart comes at once");
    let delays = [10, 20, 40, 80, 160, 300, 300];
    for delay in delays {
        assert_eq!(entry.delay, SignedDuration::from_secs(delay));
        entry = Backoff::next(Some(&entry), at(0));
    }
    assert_eq!(Backoff::until(Some(&entry), at(5), at(6)), Some(at(305)));
    assert_eq!(Backoff::until(Some(&entry), at(601), at(602)), None, "forgotten after ten minutes");
    assert_eq!(in_words(SignedDuration::from_secs(80)), "1m20s");
}

#[test]
fn quality_of_service_follows_requests_and_limits() {
    let check = |resources: serde_json::Value, expected: Qos| {
        let pod = pod(json!({"containers": [{"name": "c", "resources": resources}]}));
        assert_eq!(qos_class(&pod), expected, "{pod:?}");
    };
    check(json!({}), Qos::BestEffort);
    check(json!({"requests": {"cpu": "1"}}), Qos::Burstable);
    check(json!({"limits": {"cpu": "1", "memory": "1Gi"}}), Qos::Guaranteed);
    check(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}), Qos::Burstable);
    assert_eq!((shares(0), shares(1000), shares(10_000_000)), (2, 1024, 262_144));
}

fn sandbox(state: SandboxState) -> SandboxStatus {
    SandboxStatus { id: SandboxId("s".to_owned()), state, ..SandboxStatus::default() }
}

fn container(name: &str, attempt: u32, state: ContainerState, exit_code: i32) -> ContainerStatus {
    ContainerStatus {
        id: ContainerId(format!("{name}-{attempt}")),
        sandbox: SandboxId("s".to_owned()),
        name: name.to_owned(),
        attempt,
        state,
        exit_code,
        created_at: at(0),
        finished_at: (state == ContainerState::Exited).then(|| at(0)),
        ..ContainerStatus::default()
    }
}

fn planned(pod: &Pod, observed: &Observed, memory: &Memory, wish: Wish) -> Vec<Action> {
    let containers = containers(pod);
    plan(&Input { pod, containers: &containers, observed, memory, now: at(100) }, wish).actions
}

#[test]
fn plans_for_one_container() {
    let mounted = Memory { volumes: Volumes::Mounted, ..Memory::default() };
    let start = |attempt| vec![Action::Start { name: "c".to_owned(), attempt }];
    let check =
        |policy: &str, sandboxes: Vec<SandboxStatus>, list: Vec<ContainerStatus>, expected: Vec<Action>| {
            let pod = pod(json!({"restartPolicy": policy, "containers": [{"name": "c", "image": "i"}]}));
            let found = planned(&pod, &Observed::new(sandboxes, list.clone()), &mounted, Wish::Run);
            assert_eq!(found, expected, "{policy} {list:?}");
        };
    let ready = || vec![sandbox(SandboxState::Ready)];
    check("Always", vec![], vec![], vec![Action::RunSandbox { attempt: 0 }]);
    check("Always", vec![sandbox(SandboxState::NotReady)], vec![], vec![Action::RunSandbox { attempt: 1 }]);
    check("Always", ready(), vec![], start(0));
    check("Always", ready(), vec![container("c", 0, ContainerState::Running, 0)], vec![]);
    check("Always", ready(), vec![container("c", 4, ContainerState::Exited, 0)], start(5));
    check("OnFailure", ready(), vec![container("c", 0, ContainerState::Exited, 1)], start(1));
    check(
        "Always",
        ready(),
        vec![container("c", 0, ContainerState::Created, 0)],
        vec![Action::RemoveContainer(ContainerId("c-0".to_owned()))],
    );
    let over = vec![Action::StopSandbox(SandboxId("s".to_owned()))];
    check("OnFailure", ready(), vec![container("c", 0, ContainerState::Exited, 0)], over.clone());
    check("Never", ready(), vec![container("c", 0, ContainerState::Exited, 1)], over);
}

fn any_state() -> impl Strategy<Value = ContainerState> {
    prop_oneof![
        Just(ContainerState::Created),
        Just(ContainerState::Running),
        Just(ContainerState::Exited),
        Just(ContainerState::Unknown)
    ]
}

fn any_policy() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("Always"), Just("OnFailure"), Just("Never")]
}

proptest! {
    /// Whatever is there, a plan starts no container that may be running, none twice, and none of a pod that ends.
    #[test]
    fn no_plan_runs_two_instances(
        list in prop::collection::vec((0..3usize, 0..4u32, any_state(), 0..2i32), 0..8),
        policy in any_policy(),
        busy in prop::collection::vec(0..3usize, 0..3),
        ready in any::<bool>(),
        ends in 0..3u8,
    ) {
        let names = ["init", "side", "app"];
        let pod = pod(json!({
            "restartPolicy": policy,
            "initContainers": [{"name": "init"}, {"name": "side", "restartPolicy": "Always"}],
            "containers": [{"name": "app"}],
        }));
        let mut all: Vec<_> = list.iter().map(|(n, attempt, state, code)| container(names[*n], *attempt, *state, *code)).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all.dedup_by(|a, b| a.id == b.id);
        let state = if ready { SandboxState::Ready } else { SandboxState::NotReady };
        let observed = Observed::new(vec![sandbox(state)], all.clone());
        let busy = busy.iter().map(|n| Busy::Start(names[*n].to_owned())).collect();
        let memory = Memory { volumes: Volumes::Mounted, busy, ..Memory::default() };
        let wish = match ends {
            0 => Wish::Run,
            1 => Wish::Stop { deadline: at(110) },
            _ => Wish::Gone { deadline: at(110) },
        };
        let mut started = std::collections::BTreeSet::new();
        for action in planned(&pod, &observed, &memory, wish) {
            if let Action::Start { name, attempt } = action {
                prop_assert_eq!(wish, Wish::Run);
                prop_assert!(!observed.is_running(&name), "{} runs already", name);
                prop_assert!(!memory.starting(&name), "{} is being started", name);
                prop_assert!(all.iter().all(|c| c.name != name || c.attempt < attempt), "attempt {} was used", attempt);
                prop_assert!(started.insert(name));
            }
        }
    }
}
