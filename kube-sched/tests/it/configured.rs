//! What a `KubeSchedulerConfiguration` says is what the scheduler does.

use kube_sched::Settings;
use kube_sched::framework::Registry;
use serde_json::{Value, json};

use crate::api::FakeApi;
use crate::{node, pod, run_with, written};

/// Where the only pod that waits goes under these profiles.
async fn target(profiles: &str, api: &FakeApi) -> Value {
    let text =
        format!("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n{profiles}");
    let settings = Settings::from_yaml(&text, &Registry::default()).expect("valid");
    run_with(settings.scheduler, api, |api| !written(api, "POST", "/binding").is_empty()).await;
    written(api, "POST", "/binding")[0]["target"]["name"].clone()
}

/// An empty and a half-full node, and a pod that fits on both.
fn uneven() -> FakeApi {
    let mut placed = pod("placed", "2", "default-scheduler");
    placed["spec"]["nodeName"] = "used".into();
    FakeApi::new(
        vec![node("empty", "4"), node("used", "4")],
        vec![placed, pod("p", "1", "default-scheduler")],
    )
}

#[tokio::test(start_paused = true)]
async fn the_scoring_strategy_decides_between_packing_and_spreading() {
    let strategy = |name: &str| {
        let args = json!({"scoringStrategy": {"type": name, "resources": [{"name": "cpu", "weight": 1}]}});
        let disabled = json!([{"name": "NodeResourcesBalancedAllocation"}]);
        let profile = json!([{"plugins": {"score": {"disabled": disabled}},
            "pluginConfig": [{"name": "NodeResourcesFit", "args": args}]}]);
        format!("profiles: {profile}")
    };
    for (name, expected) in [("LeastAllocated", "empty"), ("MostAllocated", "used")] {
        assert_eq!(target(&strategy(name), &uneven()).await, expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_profile_serves_its_own_scheduler_name() {
    let profiles = "profiles: [{schedulerName: a}, {schedulerName: b, plugins: {filter: {disabled: [{name: NodeResourcesFit}]}}}]";
    let api = |scheduler| FakeApi::new(vec![node("n", "1")], vec![pod("p", "2", scheduler)]);
    assert_eq!(target(profiles, &api("b")).await, "n", "this one does not look at resources");
    let (api, text) = (
        api("a"),
        format!("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n{profiles}"),
    );
    let settings = Settings::from_yaml(&text, &Registry::default()).expect("valid");
    run_with(settings.scheduler, &api, |api| !written(api, "PATCH", "/status").is_empty()).await;
    assert!(written(&api, "POST", "/binding").is_empty());
}
