use super::{ClaimView, PodView, facts, make, release};
use crate::runner::{Action, Object};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimTemplate};
use serde_json::{Value, from_value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// A pod with the entries `gpu`, made from the template `t`, and `shared`, which names a claim.
fn pod(node: &str, statuses: Value) -> Pod {
    let claims = json!([{"name": "gpu", "resourceClaimTemplateName": "t"}, {"name": "shared", "resourceClaimName": "common"}]);
    from_value(json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "7"},
        "spec": {"containers": [], "nodeName": node, "resourceClaims": claims},
        "status": {"resourceClaimStatuses": statuses},
    }))
    .unwrap()
}

fn template() -> ResourceClaimTemplate {
    let spec = json!({"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}});
    let metadata = json!({"labels": {"a": "b"}, "annotations": {"c": "d"}});
    from_value(
        json!({"metadata": {"name": "t", "namespace": "ns"}, "spec": {"metadata": metadata, "spec": spec}}),
    )
    .unwrap()
}

/// A claim made for the entry `gpu` of the pod with this uid; for nobody if it is empty.
fn claim(name: &str, owner: &str, status: Value) -> ResourceClaim {
    let owners: Vec<_> = Some(owner)
        .filter(|owner| !owner.is_empty())
        .into_iter()
        .map(|uid| json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid, "controller": true}))
        .collect();
    let metadata = json!({"name": name, "namespace": "ns", "uid": name, "resourceVersion": "3", "ownerReferences": owners,
        "annotations": {"resource.kubernetes.io/pod-claim-name": "gpu"}});
    from_value(json!({"metadata": metadata, "spec": {}, "status": status})).unwrap()
}

fn view(pod: Pod, claims: Vec<ResourceClaim>, templates: Vec<ResourceClaimTemplate>) -> PodView {
    let claims = claims.into_iter().map(|claim| (claim.metadata.name.clone().unwrap(), Arc::new(claim)));
    let templates: HashMap<_, _> =
        templates.into_iter().map(|template| ("t".to_owned(), Arc::new(template))).collect();
    PodView { pod: Arc::new(pod), claims: claims.collect(), templates }
}

fn named(claim: &str) -> Value {
    json!([{"name": "gpu", "resourceClaimName": claim}])
}

#[test]
fn a_claim_is_made_from_its_template() {
    let plan = make::plan(&view(pod("", json!([])), vec![], vec![template()]));
    let [Action::Create(Object::ResourceClaim(made), Some(announce))] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(announce.failed.1, "PodResourceClaim gpu: create ResourceClaim : ");
    let metadata = &made.metadata;
    assert_eq!(metadata.generate_name.as_deref(), Some("p-gpu-"));
    let annotations = json!({"c": "d", "resource.kubernetes.io/pod-claim-name": "gpu"});
    assert_eq!(json!(metadata.annotations), annotations);
    assert_eq!(json!(metadata.labels), json!({"a": "b"}));
    let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true, "blockOwnerDeletion": true}]);
    assert_eq!(json!(metadata.owner_references), owner);
    assert_eq!(made.spec, template().spec.spec);
}

#[test]
fn the_pods_status_names_the_claim_that_was_made() {
    let patch = |statuses: Value, claims: Vec<ResourceClaim>| -> Value {
        let plan = make::plan(&view(pod("", statuses), claims, vec![template()]));
        match plan.actions.as_slice() {
            [] => Value::Null,
            [Action::Patch(patch)] => {
                assert_eq!(patch.subresource, Some("status"));
                assert_eq!(patch.body["metadata"], json!({"uid": "u", "resourceVersion": "7"}));
                patch.body["status"]["resourceClaimStatuses"].clone()
            }
            other => panic!("{other:?}"),
        }
    };
    let own = |name: &str| claim(name, "u", json!({}));
    assert_eq!(patch(json!([]), vec![own("p-gpu-2"), own("p-gpu-1")]), named("p-gpu-1"));
    assert_eq!(patch(named("p-gpu-1"), vec![own("p-gpu-1")]), Value::Null, "all is said");
    let other = json!([{"name": "other", "resourceClaimName": "x"}]);
    let both =
        json!([{"name": "other", "resourceClaimName": "x"}, {"name": "gpu", "resourceClaimName": "p-gpu-1"}]);
    assert_eq!(patch(other, vec![own("p-gpu-1")]), both, "what others say stays");
    // Somebody else's claim took the name.
    let foreign = claim("p-gpu-1", "other", json!({}));
    assert_eq!(patch(named("p-gpu-1"), vec![foreign, own("p-gpu-2")]), named("p-gpu-2"));
    assert_eq!(patch(json!([{"name": "gpu"}]), vec![]), Value::Null, "no claim is needed");
}

#[test]
fn a_missing_template_is_told() {
    let plan = make::plan(&view(pod("", json!([])), vec![], vec![]));
    let [Action::Event(note)] = plan.actions.as_slice() else { panic!("{plan:?}") };
    assert_eq!(note.reason, "FailedResourceClaimCreation");
    let expected = "PodResourceClaim gpu: resource claim template \"t\": resourceclaimtemplate.resource.k8s.io \"t\" not found";
    assert_eq!(note.message, expected);
}

#[test]
fn long_names_are_cut_evenly() {
    let long = "x".repeat(200);
    let made = |pod: &str, entry: &str| {
        let mut pod_object = pod_named(pod);
        pod_object.spec.as_mut().unwrap().resource_claims.as_mut().unwrap()[0].name = entry.to_owned();
        let plan = make::plan(&view(pod_object, vec![], vec![template()]));
        let [Action::Create(Object::ResourceClaim(claim), _), ..] = plan.actions.as_slice() else { panic!() };
        claim.metadata.generate_name.clone().unwrap()
    };
    assert_eq!(made("short", "gpu"), "short-gpu-");
    let cut = made(&long, "a-name-of-some-length");
    assert!(cut.len() <= 57 && cut.starts_with("xxx") && cut.ends_with("-a-nam"), "{cut}");
}

fn pod_named(name: &str) -> Pod {
    let mut pod = pod("", json!([]));
    pod.metadata.name = Some(name.to_owned());
    pod
}

#[test]
fn claims_of_a_bound_pod_are_reserved() {
    let allocated = |users: Value| json!({"allocation": {}, "reservedFor": users});
    let reserved = |node: &str, claims: Vec<ResourceClaim>| {
        let plan = make::plan(&view(pod(node, named("p-gpu-1")), claims, vec![]));
        let status = |action: &Action| match action {
            Action::UpdateStatus(Object::ResourceClaim(claim)) => {
                Some((claim.metadata.name.clone()?, facts::users(claim).len()))
            }
            _ => None,
        };
        plan.actions.iter().filter_map(status).collect::<Vec<_>>()
    };
    let one = |users: Value| vec![claim("common", "", allocated(users)), claim("p-gpu-1", "u", json!({}))];
    let user = |uid: &str| json!({"resource": "pods", "name": "x", "uid": uid});
    assert_eq!(reserved("n", one(json!([]))), [("common".to_owned(), 1)]);
    assert_eq!(reserved("n", one(json!([user("v")]))), [("common".to_owned(), 2)]);
    assert_eq!(reserved("n", one(json!([user("u")]))), [], "it is already");
    assert_eq!(reserved("", one(json!([]))), [], "the scheduler will do it");
    let full: Vec<_> = (0..256).map(|n| user(&n.to_string())).collect();
    assert_eq!(reserved("n", one(json!(full))), [], "no more fit");
    let foreign = claim("p-gpu-1", "other", allocated(json!([])));
    assert_eq!(reserved("n", vec![foreign]), [], "it was not made for the pod");
}

#[test]
fn who_is_done_lets_go() {
    let user = |uid: &str| json!({"resource": "pods", "name": "x", "uid": uid});
    let status = json!({"allocation": {}, "reservedFor": [user("u"), user("v")]});
    let check = |finalizers: &[&str], leaving: bool, left: usize, orphaned: bool| {
        let mut claim = claim("c", "u", status.clone());
        claim.metadata.finalizers = Some(finalizers.iter().map(|&name| name.to_owned()).collect());
        if leaving {
            claim.metadata.deletion_timestamp = Some(from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        }
        let users = facts::users(&claim)[..left].to_vec();
        let plan = release::plan(&ClaimView { claim: Arc::new(claim), users, orphaned });
        let told = plan.actions.iter().map(|action| match action {
            Action::UpdateStatus(Object::ResourceClaim(claim)) => {
                let status = claim.status.as_ref().unwrap();
                format!("{} users, allocated: {}", facts::users(claim).len(), status.allocation.is_some())
            }
            Action::Update(Object::ResourceClaim(claim)) => {
                format!("finalizers: {:?}", claim.metadata.finalizers.as_ref().unwrap())
            }
            Action::Delete(_) => "deleted".to_owned(),
            other => panic!("{other:?}"),
        });
        told.collect::<Vec<_>>().join("; ")
    };
    let ours = "resource.kubernetes.io/delete-protection";
    assert_eq!(check(&[ours], false, 2, false), "");
    assert_eq!(check(&[ours], false, 1, false), "1 users, allocated: true");
    assert_eq!(check(&[ours], false, 0, false), "0 users, allocated: false");
    assert_eq!(
        check(&[], false, 0, false),
        "0 users, allocated: true",
        "somebody else's driver allocated it"
    );
    assert_eq!(check(&[ours], false, 0, true), "0 users, allocated: false; deleted");
    assert_eq!(check(&[ours], false, 1, true), "1 users, allocated: true", "another pod uses it");
    assert_eq!(check(&["x", ours], true, 0, true), "0 users, allocated: false", "somebody keeps it");
    assert_eq!(check(&[ours], true, 2, true), "", "it is protected while it is used");
    let mut leaving = claim("c", "u", json!({}));
    leaving.metadata.finalizers = Some(vec!["x".to_owned(), ours.to_owned()]);
    leaving.metadata.deletion_timestamp = Some(from_value(json!("2026-01-01T00:00:00Z")).unwrap());
    let view = ClaimView { claim: Arc::new(leaving), users: vec![], orphaned: true };
    let plan = release::plan(&view);
    let [Action::Update(Object::ResourceClaim(claim))] = plan.actions.as_slice() else { panic!("{plan:?}") };
    assert_eq!(claim.metadata.finalizers.as_deref(), Some(&["x".to_owned()][..]));
}

#[test]
fn a_pod_is_done_when_it_will_not_run_again() {
    let done = |node: &str, phase: &str, leaving: bool| {
        let mut pod = pod(node, json!([]));
        pod.status.as_mut().unwrap().phase = Some(phase.to_owned());
        if leaving {
            pod.metadata.deletion_timestamp = Some(from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        }
        facts::is_done(&pod)
    };
    assert!(done("n", "Succeeded", false) && done("n", "Failed", true) && done("", "Pending", true));
    assert!(!done("n", "Running", true) && !done("", "Pending", false));
}
