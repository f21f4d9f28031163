//! What to do about an object whose owners are gone or going.

use super::graph::{FOREGROUND, Node, ORPHAN};
use super::view::{Case, Owner, View};
use crate::runner::{Action, Delete, Key, Patch, Plan, Target};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PropagationPolicy;
use serde_json::{Value, json};

pub(super) fn plan(view: &View) -> Plan {
    let mut steps: Vec<Action> = view.0.iter().map(step).collect();
    // One object that cannot be dealt with must not keep the others.
    Plan::of(if steps.len() > 1 { vec![Action::Together(steps)] } else { std::mem::take(&mut steps) })
}

fn step(case: &Case) -> Action {
    match case {
        Case::Orphaning { object, dependents } => orphan(object, dependents),
        Case::Unblocked(object) => drop_finalizer(object, FOREGROUND),
        Case::Deserted { object, dependents, owners } => desert(object, dependents, owners),
    }
}

/// Lets all dependents go, and only then the object itself.
fn orphan(object: &Node, dependents: &[Node]) -> Action {
    let let_go = dependents.iter().map(|dependent| keep_owners(dependent, |owner| owner.uid != object.uid()));
    Action::InOrder(vec![Action::Together(let_go.collect()), drop_finalizer(object, ORPHAN)])
}

fn desert(object: &Node, dependents: &[Node], owners: &[(OwnerReference, Owner)]) -> Action {
    let is = |owner: &OwnerReference, wanted| {
        owners.iter().any(|(o, state)| o.uid == owner.uid && *state == wanted)
    };
    let any = |wanted| owners.iter().any(|(_, state)| *state == wanted);
    if any(Owner::Solid) {
        // Somebody still wants it: it only forgets the others.
        return keep_owners(object, |owner| is(owner, Owner::Solid));
    }
    if any(Owner::Waiting) && !dependents.is_empty() {
        let delete = delete(object, PropagationPolicy::Foreground);
        // A dependent that waits itself may wait for us: nobody may block us then.
        return match dependents.iter().any(Node::waits_for_dependents) {
            true => Action::InOrder(vec![unblock(object), delete_changed(object)]),
            false => delete,
        };
    }
    let policy = match object {
        node if node.has_finalizer(ORPHAN) => PropagationPolicy::Orphan,
        node if node.has_finalizer(FOREGROUND) => PropagationPolicy::Foreground,
        _ => PropagationPolicy::Background,
    };
    delete(object, policy)
}

fn target(node: &Node) -> Target {
    let name = node.object.metadata.name.clone().unwrap_or_default();
    Target::new(node.resource.resource.clone(), Key::new(node.namespace(), name), node.uid())
}

/// Deletes an object that is still as it was seen.
fn delete(node: &Node, policy: PropagationPolicy) -> Action {
    let resource_version = node.object.metadata.resource_version.clone();
    Delete { resource_version, propagation: Some(policy), ..Delete::of(target(node)) }.into()
}

/// Deletes an object that the step before has changed.
fn delete_changed(node: &Node) -> Action {
    Delete { propagation: Some(PropagationPolicy::Foreground), ..Delete::of(target(node)) }.into()
}

fn patch(node: &Node, mut meta: Value) -> Action {
    meta["resourceVersion"] = json!(node.object.metadata.resource_version);
    meta["uid"] = json!(node.object.metadata.uid);
    Patch { target: target(node), subresource: None, body: json!({"metadata": meta}) }.into()
}

fn keep_owners(node: &Node, keep: impl Fn(&OwnerReference) -> bool) -> Action {
    let owners: Vec<&OwnerReference> = node.owners().iter().filter(|owner| keep(owner)).collect();
    patch(node, json!({"ownerReferences": owners}))
}

fn unblock(node: &Node) -> Action {
    let free = |owner: &OwnerReference| OwnerReference { block_owner_deletion: Some(false), ..owner.clone() };
    let owners: Vec<OwnerReference> = node.owners().iter().map(free).collect();
    patch(node, json!({"ownerReferences": owners}))
}

fn drop_finalizer(node: &Node, name: &str) -> Action {
    let finalizers = node.object.metadata.finalizers.iter().flatten();
    let left: Vec<&String> = finalizers.filter(|finalizer| *finalizer != name).collect();
    patch(node, json!({"finalizers": left}))
}
