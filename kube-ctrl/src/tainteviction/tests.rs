use super::plan::{Endurance, endurance};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Pod, Taint};
use serde_json::{Value, json};

#[test]
fn the_shortest_tolerated_time_counts() {
    let check = |tolerations: Value, taints: &[(&str, &str)], expected: Option<i64>| {
        let pod: Pod =
            serde_json::from_value(json!({"spec": {"containers": [], "tolerations": tolerations}})).unwrap();
        let taint = |(key, value): &(&str, &str)| Taint {
            key: (*key).into(),
            value: Some((*value).into()),
            effect: "NoExecute".into(),
            ..Taint::default()
        };
        let taints: Vec<Taint> = taints.iter().map(taint).collect();
        let expected = expected.map_or(Endurance::Forever, |s| Endurance::For(SignedDuration::from_secs(s)));
        assert_eq!(endurance(&pod, &taints), expected, "{tolerations} {taints:?}");
    };
    check(json!([]), &[("a", "")], Some(0));
    check(json!([{"operator": "Exists"}]), &[("a", ""), ("b", "x")], None);
    check(json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 30}]), &[("a", "x")], Some(30));
    check(
        json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 30}]),
        &[("a", ""), ("b", "")],
        Some(0),
    );
    check(json!([{"key": "a", "value": "x"}]), &[("a", "x")], None);
    check(json!([{"key": "a", "value": "y"}]), &[("a", "x")], Some(0));
    check(json!([{"key": "a", "operator": "Exists", "effect": "NoSchedule"}]), &[("a", "")], Some(0));
    check(json!([{"key": "a", "operator": "Exists", "tolerationSeconds": -5}]), &[("a", "")], Some(0));
    check(
        json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 30}, {"key": "b", "operator": "Exists", "tolerationSeconds": 20}]),
        &[("a", ""), ("b", "")],
        Some(20),
    );
}
