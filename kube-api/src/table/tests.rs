use serde_json::{Value, json};

use super::*;
use crate::kinds::Kinds;

#[test]
fn durations_are_shortened_as_kubectl_does() {
    let cases = [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (10_860, "3h1m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (176_400, "2d1h"),
        (691_200, "8d"),
        (63_071_999, "729d"),
        (63_072_000, "2y"),
        (63_158_400, "2y1d"),
        (252_288_000, "8y"),
    ];
    for (seconds, text) in cases {
        assert_eq!(human_duration(seconds), text, "{seconds}");
    }
}

fn cells(group: &str, kind: &str, object: &Value) -> Vec<String> {
    let now = "2024-01-01T01:00:00Z".parse().unwrap();
    let plain = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    Printer::builtin(group, kind).cells(object, now).iter().map(plain).collect()
}

#[test]
fn pods_are_summed_up_as_kubectl_shows_them() {
    let ran = json!({"name": "a", "ready": true, "restartCount": 3, "state": {"running": {}},
        "lastState": {"terminated": {"finishedAt": "2024-01-01T00:55:00Z"}}});
    let base = |status: Value| {
        json!({"metadata": {"name": "p", "creationTimestamp": "2024-01-01T00:00:00Z"},
            "spec": {"containers": [{"name": "a"}], "initContainers": [{"name": "i"}]}, "status": status})
    };
    let waiting = |reason: &str| json!({"name": "a", "state": {"waiting": {"reason": reason}}});
    let ended = |name: &str, code: i64, reason: &str| json!({"name": name, "state": {"terminated": {"exitCode": code, "reason": reason}}});
    let cases = [
        (json!({"phase": "Pending"}), ["0/1", "Pending", "0"]),
        (json!({"phase": "Running", "containerStatuses": [ran]}), ["1/1", "Running", "3 (5m ago)"]),
        (
            json!({"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff")]}),
            ["0/1", "CrashLoopBackOff", "0"],
        ),
        (
            json!({"phase": "Succeeded", "containerStatuses": [ended("a", 0, "Completed")]}),
            ["0/1", "Completed", "0"],
        ),
        (json!({"phase": "Failed", "containerStatuses": [ended("a", 2, "")]}), ["0/1", "ExitCode:2", "0"]),
        (
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {}}]}),
            ["0/1", "Init:0/1", "0"],
        ),
        (
            json!({"phase": "Pending", "initContainerStatuses": [ended("i", 1, "Error")]}),
            ["0/1", "Init:Error", "0"],
        ),
        (json!({"phase": "Failed", "reason": "Evicted"}), ["0/1", "Evicted", "0"]),
    ];
    for (status, expected) in cases {
        assert_eq!(cells("", "Pod", &base(status.clone()))[1..4], expected, "{status}");
    }
    let mut leaving = base(json!({"phase": "Running"}));
    leaving["metadata"]["deletionTimestamp"] = "2024-01-01T00:59:00Z".into();
    assert_eq!(cells("", "Pod", &leaving)[2], "Terminating");
}

#[test]
fn other_kinds_have_upstreams_columns() {
    let meta = json!({"name": "x", "creationTimestamp": "2024-01-01T00:58:00Z"});
    let service = json!({"metadata": meta, "spec": {"type": "NodePort", "clusterIP": "10.0.0.1",
        "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}], "selector": {"app": "web"}}});
    assert_eq!(
        cells("", "Service", &service),
        ["x", "NodePort", "10.0.0.1", "<none>", "80:30080/TCP", "2m", "app=web"]
    );
    let deployment = json!({"metadata": meta, "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}},
        "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}, "status": {"readyReplicas": 2}});
    assert_eq!(cells("apps", "Deployment", &deployment), ["x", "2/3", "0", "0", "2m", "c", "i", "a=b"]);
    let node = json!({"metadata": {"name": "n"}, "spec": {"unschedulable": true},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    assert_eq!(cells("", "Node", &node)[..4], ["n", "Ready,SchedulingDisabled", "<none>", "<unknown>"]);
    let addresses: Vec<Value> = (1..=5).map(|i| json!({"ip": format!("10.0.0.{i}")})).collect();
    let endpoints = json!({"metadata": meta, "subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]});
    assert_eq!(cells("", "Endpoints", &endpoints)[1], "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...");
}

#[test]
fn tables_carry_metadata_and_headings() {
    let kind = Kinds::builtin().find("", "v1", "configmaps").unwrap();
    let object = json!({"metadata": {"name": "x"}, "data": {"a": "b"}});
    let now = jiff::Timestamp::UNIX_EPOCH;
    let value = table(kind, [&object], json!({"resourceVersion": "7"}), IncludeObject::Metadata, now, true);
    assert_eq!(value["rows"][0]["cells"], json!(["x", 1, "<unknown>"]));
    assert_eq!(value["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(value["columnDefinitions"][0]["format"], "name");
    assert_eq!(value["metadata"]["resourceVersion"], "7");
    for kind in Kinds::builtin().iter() {
        assert_eq!(kind.printer.columns().len(), kind.printer.cells(&json!({}), now).len(), "{}", kind.kind);
    }
}
