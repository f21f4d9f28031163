//! What the collector looks at for one uid.

use super::graph::{FOREGROUND, Graph, Node, ORPHAN};
use crate::runner::Informers;
use crate::{Error, Result};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DynamicObject};
use std::collections::HashMap;

/// A key with this prefix stands for all dependents of the uid behind it, which is gone.
pub(super) const DEPENDENTS_OF: &str = "dependents of ";

/// The situation of one object, or of those a gone object has left.
#[derive(Clone, Debug)]
pub struct View(pub(super) Vec<Case>);

/// The situation of one object.
#[derive(Clone, Debug)]
pub(super) enum Case {
    /// It is being deleted and first lets its dependents go.
    Orphaning { object: Node, dependents: Vec<Node> },
    /// It is being deleted and nothing blocks that any more.
    Unblocked(Node),
    /// It lives and at least one of its owners is gone or going.
    Deserted { object: Node, dependents: Vec<Node>, owners: Vec<(OwnerReference, Owner)> },
}

/// How an owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// It exists.
    Solid,
    /// It does not exist.
    Dangling,
    /// It is being deleted and waits for its dependents.
    Waiting,
}

/// The answers about owners within one look: many dependents share one.
type Asked = HashMap<(String, String), Owner>;

pub(super) async fn observe(graph: &Graph, informers: &Informers, key: &str) -> Result<Option<View>> {
    graph.check_synced()?;
    let mut asked = Asked::new();
    if let Some(uid) = key.strip_prefix(DEPENDENTS_OF) {
        let mut cases = Vec::new();
        for dependent in graph.dependents(uid) {
            cases.extend(deserted(graph, informers, dependent, &mut asked).await?);
        }
        return Ok(Some(View(cases)).filter(|view| !view.0.is_empty()));
    }
    let Some(object) = graph.find(key) else { return Ok(None) };
    let mut cases = Vec::new();
    if object.is_deleting() && object.has_finalizer(ORPHAN) {
        let dependents = graph.dependents(key);
        cases.push(Case::Orphaning { object, dependents });
    } else if object.is_deleting() && object.has_finalizer(FOREGROUND) {
        let dependents = graph.dependents(key);
        if dependents.iter().any(|dependent| blocks(dependent, key)) {
            for dependent in dependents {
                cases.extend(deserted(graph, informers, dependent, &mut asked).await?);
            }
        } else {
            cases.push(Case::Unblocked(object));
        }
    } else {
        cases.extend(deserted(graph, informers, object, &mut asked).await?);
    }
    Ok(Some(View(cases)).filter(|view| !view.0.is_empty()))
}

/// Whether a dependent keeps an owner from being deleted in foreground.
fn blocks(dependent: &Node, uid: &str) -> bool {
    dependent.owners().iter().any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
}

async fn deserted(
    graph: &Graph,
    informers: &Informers,
    object: Node,
    asked: &mut Asked,
) -> Result<Option<Case>> {
    if object.is_deleting() {
        return Ok(None);
    }
    let mut owners = Vec::new();
    for owner in object.owners() {
        owners.push((owner.clone(), state_of(graph, informers, &object, owner, asked).await?));
    }
    if owners.iter().all(|(_, state)| *state == Owner::Solid) {
        return Ok(None);
    }
    let dependents = graph.dependents(object.uid());
    Ok(Some(Case::Deserted { object, dependents, owners }))
}

async fn state_of(
    graph: &Graph,
    informers: &Informers,
    object: &Node,
    owner: &OwnerReference,
    asked: &mut Asked,
) -> Result<Owner> {
    let reachable = |node: &Node| node.namespace().is_empty() || node.namespace() == object.namespace();
    if let Some(node) = graph.find(&owner.uid).filter(reachable) {
        return Ok(if node.waits_for_dependents() { Owner::Waiting } else { Owner::Solid });
    }
    let place = (object.namespace().to_owned(), owner.uid.clone());
    if let Some(known) = asked.get(&place) {
        return Ok(*known);
    }
    let state = ask(graph, informers, object, owner).await?;
    asked.insert(place, state);
    Ok(state)
}

/// Asks the server about an owner that no cache knows.
async fn ask(graph: &Graph, informers: &Informers, object: &Node, owner: &OwnerReference) -> Result<Owner> {
    let Some(resource) = graph.resource(&owner.api_version, &owner.kind) else {
        return Err(Error::Pending(format!("no resource for {} {}", owner.api_version, owner.kind)));
    };
    let client = informers.client();
    let api: Api<DynamicObject> = match (resource.namespaced, object.namespace()) {
        (true, "") => {
            tracing::debug!(owner = owner.name, "a cluster-scoped object cannot have a namespaced owner");
            return Ok(Owner::Solid);
        }
        (true, namespace) => Api::namespaced_with(client, namespace, &resource.resource),
        (false, _) => Api::all_with(client, &resource.resource),
    };
    Ok(match api.get_metadata_opt(&owner.name).await? {
        Some(found) if found.metadata.uid.as_deref() == Some(owner.uid.as_str()) => {
            let foreground = found.metadata.finalizers.iter().flatten().any(|name| name == FOREGROUND);
            if found.metadata.deletion_timestamp.is_some() && foreground {
                Owner::Waiting
            } else {
                Owner::Solid
            }
        }
        _ => Owner::Dangling,
    })
}
