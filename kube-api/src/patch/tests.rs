use serde_json::{Value, json};

use super::*;
use crate::schema::builtin;

fn strategic(before: Value, patch: Value) -> Value {
    let deployment = builtin("io.k8s.api.apps.v1.Deployment").unwrap();
    strategic_merge(&before, &patch, &deployment).unwrap()
}

fn containers(items: Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": items}}}})
}

#[test]
fn keyed_lists_merge_by_key() {
    let before = containers(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]));
    let after =
        strategic(before, containers(json!([{"name": "b", "image": "3"}, {"name": "c", "image": "4"}])));
    let expected =
        json!([{"name": "a", "image": "1"}, {"name": "b", "image": "3"}, {"name": "c", "image": "4"}]);
    assert_eq!(after, containers(expected));
}

#[test]
fn elements_are_deleted_and_ordered() {
    let before = containers(json!([{"name": "a"}, {"name": "sidecar"}, {"name": "b"}]));
    let patch = json!({"spec": {"template": {"spec": {
        "$setElementOrder/containers": [{"name": "c"}, {"name": "b"}],
        "containers": [{"name": "a", "$patch": "delete"}, {"name": "c", "image": "x"}],
    }}}});
    let expected = containers(json!([{"name": "sidecar"}, {"name": "c", "image": "x"}, {"name": "b"}]));
    assert_eq!(strategic(before, patch), expected);
}

#[test]
fn lists_and_objects_are_replaced_on_request() {
    let before = containers(json!([{"name": "a"}, {"name": "b"}]));
    let after = strategic(before.clone(), containers(json!([{"name": "c"}, {"$patch": "replace"}])));
    assert_eq!(after, containers(json!([{"name": "c"}])));
    let after = strategic(before, json!({"spec": {"$patch": "replace", "paused": true}}));
    assert_eq!(after, json!({"spec": {"paused": true}}));
}

#[test]
fn retained_keys_drop_the_rest() {
    let before = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    assert_eq!(strategic(before, patch), json!({"spec": {"strategy": {"type": "Recreate"}}}));
}

#[test]
fn primitive_lists_unite_and_shrink() {
    let before = json!({"metadata": {"finalizers": ["a/a", "b/b"]}});
    let patch = json!({"metadata": {
        "$deleteFromPrimitiveList/finalizers": ["a/a"],
        "$setElementOrder/finalizers": ["c/c", "b/b"],
        "finalizers": ["c/c"],
    }});
    assert_eq!(strategic(before, patch), json!({"metadata": {"finalizers": ["c/c", "b/b"]}}));
}

#[test]
fn atomic_lists_are_replaced_and_nulls_remove() {
    let before = containers(json!([{"name": "a", "command": ["x", "y"], "image": "i"}]));
    let after = strategic(before, containers(json!([{"name": "a", "command": ["z"], "image": null}])));
    assert_eq!(after, containers(json!([{"name": "a", "command": ["z"]}])));
}

#[test]
fn environment_of_a_new_key_is_merged() {
    let before = containers(json!([{"name": "a", "env": [{"name": "A", "value": "1"}]}]));
    let after = strategic(before, containers(json!([{"name": "a", "env": [{"name": "B", "value": "2"}]}])));
    let env = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]);
    assert_eq!(after, containers(json!([{"name": "a", "env": env}])));
}

#[test]
fn elements_without_their_key_are_refused() {
    let deployment = builtin("io.k8s.api.apps.v1.Deployment").unwrap();
    let (before, patch) = (containers(json!([{"name": "a"}])), containers(json!([{"image": "x"}])));
    let error = strategic_merge(&before, &patch, &deployment).unwrap_err();
    assert_eq!(error.to_string(), "map: map[image:x] does not contain declared merge key: name");
}

#[test]
fn merge_patches_follow_their_rfc() {
    let mut target = json!({"a": {"b": 1, "c": 2}, "d": [1, 2]});
    merge_patch(&mut target, &json!({"a": {"b": null, "e": {"f": null}}, "d": [3]}));
    assert_eq!(target, json!({"a": {"c": 2, "e": {}}, "d": [3]}));
}

#[test]
fn json_patches_apply_whole_or_not_at_all() {
    let mut target = json!({"a": [1]});
    json_patch(
        &mut target,
        br#"[{"op":"add","path":"/a/-","value":2},{"op":"test","path":"/a/0","value":1}]"#,
    )
    .unwrap();
    assert_eq!(target, json!({"a": [1, 2]}));
    let failing = br#"[{"op":"remove","path":"/a/0"},{"op":"test","path":"/a/0","value":9}]"#;
    assert!(matches!(json_patch(&mut target, failing), Err(PatchError::Unprocessable(_))));
    assert_eq!(target, json!({"a": [1, 2]}));
    assert!(matches!(json_patch(&mut target, b"{}"), Err(PatchError::Malformed(_))));
}

#[test]
fn json_patches_are_bounded() {
    let many = vec![json!({"op": "test", "path": "/a", "value": 1}); MAX_OPERATIONS + 1];
    let error = json_patch(&mut json!({"a": 1}), Value::Array(many).to_string().as_bytes()).unwrap_err();
    assert_eq!(error, PatchError::TooMany { max: 10_000, got: 10_001 });
    let doubling = vec![json!({"op": "copy", "from": "/a", "path": "/a/-"}); 64];
    let mut target = json!({"a": [[0]]});
    assert!(json_patch(&mut target, Value::Array(doubling).to_string().as_bytes()).is_err());
    assert_eq!(target, json!({"a": [[0]]}));
}
