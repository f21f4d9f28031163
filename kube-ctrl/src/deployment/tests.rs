use super::plan::{plan, report};
use super::strategy::Bounds;
use super::{View, history, rollout, scale, sets::Sets, template};
use crate::Error;
use crate::claim::Claim;
use crate::runner::{Action, Object};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn now() -> Timestamp {
    "2026-01-01T00:10:00Z".parse().unwrap()
}

fn spec(replicas: i32, surge: Value, unavailable: Value) -> DeploymentSpec {
    serde_json::from_value(json!({
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "demo:2"}]}},
    }))
    .unwrap()
}

fn deployment(spec: DeploymentSpec) -> Deployment {
    let mut deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "ns", "uid": "d", "generation": 1, "resourceVersion": "1"},
    }))
    .unwrap();
    deployment.spec = Some(spec);
    deployment
}

/// A set of some age, made from the deployment's template if `image` is its.
fn set(name: &str, image: &str, size: i32, available: i32, max: i32) -> ReplicaSet {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "ns", "uid": name, "creationTimestamp": format!("2026-01-01T00:0{}:00Z", name.len()),
            "annotations": {"deployment.kubernetes.io/revision": name.len().to_string(),
                            "deployment.kubernetes.io/desired-replicas": max.to_string(),
                            "deployment.kubernetes.io/max-replicas": max.to_string()},
        },
        "spec": {
            "replicas": size, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web", "pod-template-hash": name}},
                         "spec": {"containers": [{"name": "c", "image": image}]}},
        },
        "status": {"replicas": size, "availableReplicas": available, "readyReplicas": available},
    }))
    .unwrap()
}

fn view(deployment: Deployment, sets: Vec<ReplicaSet>) -> View {
    let owned = sets.into_iter().map(Arc::new).collect();
    let claim = Claim { owned, adopt: Vec::new(), release: Vec::new() };
    View { deployment: Arc::new(deployment), claim, namesake: None, busy: Vec::new() }
}

#[test]
fn surge_rounds_up_and_unavailable_rounds_down() {
    let check = |replicas, surge: Value, unavailable: Value, expected: (i32, i32)| {
        let bounds = Bounds::of(&spec(replicas, surge.clone(), unavailable.clone()));
        assert_eq!((bounds.max_surge, bounds.max_unavailable), expected, "{replicas} {surge} {unavailable}");
    };
    check(10, json!("25%"), json!("25%"), (3, 2));
    check(3, json!("25%"), json!("25%"), (1, 0));
    check(1, json!("25%"), json!("25%"), (1, 0));
    check(1, json!(0), json!("25%"), (0, 1));
    check(4, json!("0%"), json!("0%"), (0, 1));
    check(2, json!(1), json!(5), (1, 2));
    check(0, json!(1), json!(1), (1, 0));
}

#[test]
fn equal_templates_hash_alike_and_collisions_differ() {
    let template = spec(1, json!(1), json!(1)).template;
    let hash = template::hash(&template, None);
    assert_eq!(hash, template::hash(&template.clone(), None));
    assert_ne!(hash, template::hash(&template, Some(1)));
    assert_ne!(template::hash(&template, Some(2)), template::hash(&template, Some(1)));
    assert!(!hash.is_empty() && hash.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte)));
}

#[test]
fn a_new_deployment_gets_its_set() {
    let view = view(deployment(spec(3, json!("25%"), json!("25%"))), vec![]);
    let plan = plan(&view, now());
    let Some(Action::Create(Object::ReplicaSet(set), _)) = plan.actions.first() else { panic!("{plan:?}") };
    assert_eq!(set.spec.as_ref().unwrap().replicas, Some(3));
    let annotations = set.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "1");
    assert_eq!(annotations["deployment.kubernetes.io/desired-replicas"], "3");
    assert_eq!(annotations["deployment.kubernetes.io/max-replicas"], "4");
    let hash = &set.metadata.labels.as_ref().unwrap()["pod-template-hash"];
    assert_eq!(set.metadata.name.as_ref().unwrap(), &format!("web-{hash}"));
    assert_eq!(
        set.spec.as_ref().unwrap().selector.match_labels.as_ref().unwrap()["pod-template-hash"],
        *hash
    );
}

#[test]
fn a_namesake_of_somebody_else_counts_as_a_collision() {
    let mut view = view(deployment(spec(3, json!(1), json!(0))), vec![]);
    let exists = || Err(Error::AlreadyExists(Box::default()));
    assert_eq!(report(&view, &exists(), now()).actions, [], "nobody we know of: look again");
    view.namesake = Some(Arc::new(set("x", "other", 1, 1, 1)));
    let told = report(&view, &exists(), now());
    let [Action::Patch(patch)] = told.actions.as_slice() else { panic!("{told:?}") };
    assert_eq!(patch.body, json!({"status": {"collisionCount": 1}}));
}

fn sizes(sets: &Sets<'_>) -> Vec<i32> {
    sets.all().map(super::sets::size).collect()
}

#[test]
fn scaling_during_a_rollout_keeps_the_proportions() {
    // old (aa) and newest (bbb) sizes before, replicas before and after, sizes after
    let check = |before: [i32; 2], from: i32, to: i32, expected: [i32; 2]| {
        let spec = spec(to, json!(0), json!(1));
        let sets =
            vec![set("aa", "demo:1", before[0], before[0], from), set("bbb", "demo:2", before[1], 0, from)];
        let view = view(deployment(spec.clone()), sets);
        let mut sets = Sets::of(&view, &spec);
        assert!(scale::is_due(&sets));
        scale::scale(&mut sets);
        assert_eq!(sizes(&sets), expected, "{before:?} {from} {to}");
    };
    check([5, 5], 10, 20, [10, 10]);
    check([8, 2], 10, 20, [16, 4]);
    check([6, 4], 10, 5, [3, 2]);
    check([3, 1], 4, 0, [0, 0]);
    check([5, 5], 10, 11, [5, 6]);
}

#[test]
fn history_keeps_the_newest_revisions() {
    let mut spec = spec(1, json!(1), json!(0));
    spec.revision_history_limit = Some(1);
    let mut old: Vec<ReplicaSet> =
        ["a", "aa", "aaa"].iter().map(|name| set(name, "demo:1", 0, 0, 1)).collect();
    let mut newest = set("bbbb", "demo:2", 1, 1, 1);
    history::note_size(&mut newest, Bounds::of(&spec));
    old.push(newest);
    let mut deployment = deployment(spec);
    deployment.metadata.annotations = Some([("deployment.kubernetes.io/revision".into(), "4".into())].into());
    deployment.status = serde_json::from_value(json!({
        "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "readyReplicas": 1,
    }))
    .unwrap();
    let plan = plan(&view(deployment, old), now());
    let deleted: Vec<&str> = plan
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Delete(delete) => Some(delete.target.key.name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(deleted, ["a", "aa"]);
}

/// The pods of a simulated set: how many exist, and how many of them are available.
#[derive(Clone, Debug)]
struct Simulated {
    size: i32,
    available: i32,
}

proptest! {
    /// Whatever the order in which pods become available or fail between steps, a rollout never wants more pods
    /// than the surge allows and never takes an available pod below the minimum.
    #[test]
    fn rollouts_stay_within_their_bounds(
        replicas in 1i32..12,
        surge in 0i32..5,
        unavailable in 0i32..5,
        chances in proptest::collection::vec((0usize..2, -2i32..4), 1..60),
    ) {
        let spec = spec(replicas, json!(surge), json!(unavailable));
        let bounds = Bounds::of(&spec);
        let mut old = Simulated { size: replicas, available: replicas };
        let mut new = Simulated { size: 0, available: 0 };
        for (which, change) in chances {
            let sets = vec![
                set("aa", "demo:1", old.size, old.available, replicas),
                set("bbb", "demo:2", new.size, new.available, replicas),
            ];
            let view = view(deployment(spec.clone()), sets);
            let mut sets = Sets::of(&view, &spec);
            let before = sets.total_available();
            if !rollout::grow_newest(&mut sets) {
                rollout::shrink_old(&mut sets);
            }
            let planned = sizes(&sets);
            prop_assert!(planned.iter().sum::<i32>() <= bounds.max_total().max(old.size + new.size));
            // Unavailable pods are the first to go.
            let left = |known: &Simulated, size: i32| known.available.min(size);
            let after = left(&old, planned[0]) + left(&new, planned[1]);
            prop_assert!(after >= bounds.min_available().min(before), "{before} -> {after}: {old:?} {new:?} {planned:?}");
            old = Simulated { available: left(&old, planned[0]), size: planned[0] };
            new = Simulated { available: left(&new, planned[1]), size: planned[1] };
            let lucky = if which == 0 { &mut old } else { &mut new };
            lucky.available = (lucky.available + change).clamp(0, lucky.size);
        }
    }

    /// If pods become available, every rollout ends.
    #[test]
    fn rollouts_finish(replicas in 1i32..30, surge in 0i32..9, unavailable in 0i32..9) {
        let spec = spec(replicas, json!(surge), json!(unavailable));
        let (mut old, mut new) = (replicas, 0);
        for _ in 0..100 {
            let sets = vec![set("aa", "demo:1", old, old, replicas), set("bbb", "demo:2", new, new, replicas)];
            let view = view(deployment(spec.clone()), sets);
            let mut sets = Sets::of(&view, &spec);
            if !rollout::grow_newest(&mut sets) && !rollout::shrink_old(&mut sets) {
                break;
            }
            let planned = sizes(&sets);
            (old, new) = (planned[0], planned[1]);
        }
        prop_assert_eq!((old, new), (0, replicas));
    }
}
