use k8s_openapi::api::core::v1::NodeStatus;

use serde_json::{Value, json};

use super::{
    Machine,
    object::{Measured, advertised, status},
};
use crate::{Config, seam::RuntimeInfo};

#[test]
fn conditions_keep_their_transition_time_while_nothing_changes() {
    let at = |s| jiff::Timestamp::from_second(s).expect("in range");
    let (config, machine) = (Config::default(), Machine::default());
    let ready = RuntimeInfo { ready: true, network_ready: true, ..RuntimeInfo::default() };
    let good = Measured { runtime: ready.clone(), ..Measured::default() };
    let find =
        |s: &NodeStatus| s.conditions.iter().flatten().find(|c| c.type_ == "Ready").cloned().expect("Ready");
    let first = status(&config, &machine, &good, &NodeStatus::default(), at(1));
    let second = status(&config, &machine, &good, &first, at(2));
    assert_eq!(find(&second).last_transition_time, find(&first).last_transition_time);
    let bad = Measured { runtime: RuntimeInfo { network_ready: false, ..ready }, ..Measured::default() };
    let third = status(&config, &machine, &bad, &second, at(3));
    assert_eq!(
        (find(&third).status.as_str(), find(&third).reason.as_deref()),
        ("False", Some("KubeletNotReady"))
    );
    assert_ne!(find(&third).last_transition_time, find(&first).last_transition_time);
}

#[test]
fn what_others_give_a_node_is_for_its_pods() {
    let patch = |capacity: Value, allocatable: Value| {
        let status = serde_json::from_value(json!({"capacity": capacity, "allocatable": allocatable}));
        advertised(&status.expect("a status")).map(|patch| patch["status"]["allocatable"].clone())
    };
    let own = json!({"cpu": "2", "hugepages-2Mi": "0"});
    assert_eq!(patch(own.clone(), json!({"cpu": "1"})), None, "its own are not others'");
    let dongles = json!({"cpu": "2", "example.com/dongle": "4"});
    assert_eq!(patch(dongles.clone(), own.clone()), Some(json!({"example.com/dongle": "4"})));
    assert_eq!(patch(dongles.clone(), dongles.clone()), None);
    assert_eq!(
        patch(json!({"example.com/dongle": "3"}), dongles.clone()),
        Some(json!({"example.com/dongle": "3"}))
    );
    assert_eq!(patch(own, dongles), Some(json!({"example.com/dongle": null})));
}
