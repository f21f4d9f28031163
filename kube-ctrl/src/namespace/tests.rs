use super::plan::{plan, report};
use super::{Content, Item, View};
use crate::Error;
use crate::discovery::Discovered;
use crate::runner::{Action, Key, Object};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ApiResource;
use serde_json::{Value, json};
use std::sync::Arc;

fn now() -> Timestamp {
    "2026-01-01T00:10:00Z".parse().unwrap()
}

fn content(kind: &str, plural: &str, collection: bool, items: &[(&str, bool, &[&str])]) -> Content {
    let item = |(name, deleting, finalizers): &(&str, bool, &[&str])| Item {
        key: Key::new("ns", *name),
        uid: (*name).into(),
        finalizers: finalizers.iter().map(|name| (*name).to_owned()).collect(),
        deleting: *deleting,
    };
    let resource = ApiResource {
        group: String::new(),
        version: "v1".into(),
        api_version: "v1".into(),
        kind: kind.into(),
        plural: plural.into(),
    };
    let verbs =
        if collection { vec!["delete".into(), "deletecollection".into()] } else { vec!["delete".into()] };
    let resource = Discovered { resource, namespaced: true, verbs };
    Content { resource, items: items.iter().map(item).collect() }
}

fn view(finalizers: Value, contents: Vec<Content>) -> View {
    let namespace: Namespace = serde_json::from_value(json!({
        "metadata": {"name": "ns", "deletionTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"finalizers": finalizers},
    }))
    .unwrap();
    View {
        namespace: Arc::new(namespace),
        contents,
        discovery_failures: Vec::new(),
        list_failures: Vec::new(),
    }
}

fn deleted(view: &View) -> Vec<String> {
    let name = |action: &Action| match action {
        Action::DeleteCollection(target) => format!("all {}", target.resource.plural),
        Action::Delete(delete) => format!("{} {}", delete.target.resource.kind, delete.target.key),
        other => panic!("{other:?}"),
    };
    match plan(view, now()).actions.as_slice() {
        [Action::Together(actions)] => actions.iter().map(name).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn pods_go_first_then_collections_and_single_objects() {
    let pods = || content("Pod", "pods", true, &[("p", false, &[])]);
    let maps = || content("ConfigMap", "configmaps", true, &[("m", false, &[])]);
    let singles = || content("Single", "singles", false, &[("a", false, &[]), ("b", true, &["x"])]);
    assert_eq!(deleted(&view(json!(["kubernetes"]), vec![maps(), pods(), singles()])), ["all pods"]);
    assert_eq!(
        deleted(&view(json!(["kubernetes"]), vec![maps(), singles()])),
        ["all configmaps", "Single ns/a"]
    );
}

#[test]
fn an_empty_namespace_is_let_go() {
    let finalized = plan(&view(json!(["kubernetes"]), vec![]), now());
    let [Action::Finalize(Object::Namespace(namespace))] = finalized.actions.as_slice() else {
        panic!("{finalized:?}")
    };
    assert_eq!(namespace.spec.as_ref().unwrap().finalizers, Some(vec![]));
    let mut unknown = view(json!(["kubernetes"]), vec![]);
    unknown.discovery_failures.push("metrics.k8s.io/v1: unavailable".into());
    assert_eq!(deleted(&unknown), [""; 0], "what cannot be seen may still be there");
}

fn conditions(view: &View, outcome: crate::Result<()>) -> Vec<(String, String, String)> {
    let told = report(view, &outcome, now());
    let [Action::UpdateStatus(Object::Namespace(namespace))] = told.actions.as_slice() else {
        panic!("{told:?}")
    };
    let conditions = namespace.status.clone().unwrap().conditions.unwrap();
    let bad = conditions.into_iter().filter(|condition| condition.status == "True");
    bad.map(|c| (c.type_, c.reason.unwrap(), c.message.unwrap())).collect()
}

#[test]
fn conditions_tell_what_is_left_and_why() {
    let view = view(
        json!(["kubernetes"]),
        vec![content("Widget", "widgets", true, &[("a", true, &["x/y"]), ("b", true, &["x/y"])])],
    );
    let told = |condition: &str, reason: &str, message: &str| {
        (condition.to_owned(), reason.to_owned(), message.to_owned())
    };
    let left = told(
        "NamespaceContentRemaining",
        "SomeResourcesRemain",
        "Some resources are remaining: widgets. has 2 resource instances",
    );
    let held = told(
        "NamespaceFinalizersRemaining",
        "SomeFinalizersRemain",
        "Some content in the namespace has finalizers remaining: x/y in 2 resource instances",
    );
    assert_eq!(conditions(&view, Ok(())), [left.clone(), held.clone()]);
    let refused =
        Err(Error::Rejected(Box::new(kube::core::Status { message: "no".into(), ..Default::default() })));
    let failed = told(
        "NamespaceDeletionContentFailure",
        "ContentDeletionFailed",
        "Failed to delete all resource types, 1 remaining: no",
    );
    assert_eq!(conditions(&view, refused), [failed, left, held]);
}
