//! How the schedulers are configured.

use serde_json::{Value, json};

use super::draw::Draw;
use super::selectors::node_term;
use super::{HOST, ZONE};

/// A profile: upstream's defaults as often as not.
pub(super) fn profile(draw: &mut Draw) -> Value {
    let mut args = Vec::new();
    if draw.chance(50) {
        return json!({"schedulerName": "default-scheduler"});
    }
    let mut add = |name: &str, value: Value| args.push(json!({"name": name, "args": value}));
    if draw.chance(60) {
        add("NodeResourcesFit", json!({"scoringStrategy": strategy(draw)}));
    }
    if draw.chance(30) {
        add(
            "InterPodAffinity",
            json!({"hardPodAffinityWeight": draw.number(&[0, 5, 100]),
            "ignorePreferredTermsOfExistingPods": draw.chance(50)}),
        );
    }
    if draw.chance(40) {
        let constraints = json!([{"maxSkew": draw.number(&[1, 3]), "topologyKey": draw.one(&[ZONE, HOST, "disk"]),
            "whenUnsatisfiable": draw.one(&["ScheduleAnyway", "DoNotSchedule"])}]);
        add("PodTopologySpread", json!({"defaultingType": "List", "defaultConstraints": constraints}));
    }
    if draw.chance(20) {
        let preferred = json!([{"weight": 7, "preference": node_term(draw)}]);
        add(
            "NodeAffinity",
            json!({"addedAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}),
        );
    }
    if draw.chance(30) {
        let resources = json!([{"name": "cpu", "weight": 1}, {"name": draw.one(&["memory", "example.com/gpu"]), "weight": 1}]);
        add("NodeResourcesBalancedAllocation", json!({"resources": resources}));
    }
    json!({"schedulerName": "default-scheduler", "pluginConfig": args})
}

fn strategy(draw: &mut Draw) -> Value {
    let mut resources = json!([{"name": "cpu", "weight": draw.number(&[1, 3])}, {"name": "memory", "weight": draw.number(&[1, 2])}]);
    if let Some(list) = resources.as_array_mut().filter(|_| draw.chance(50)) {
        list.push(json!({"name": "example.com/gpu", "weight": 5}));
    }
    match draw.one(&["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"]) {
        kind @ "RequestedToCapacityRatio" => {
            let shape = json!([{"utilization": 0, "score": draw.number(&[0, 10])},
                {"utilization": draw.number(&[40, 70]), "score": draw.number(&[3, 8])}, {"utilization": 100, "score": draw.number(&[0, 10])}]);
            json!({"type": kind, "resources": resources, "requestedToCapacityRatio": {"shape": shape}})
        }
        kind => json!({"type": kind, "resources": resources}),
    }
}
