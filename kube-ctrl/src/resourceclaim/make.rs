//! What a pod's claims lack.

use super::PodView;
use super::facts::{self, ANNOTATION, Named};
use crate::pods;
use crate::runner::{Action, Announce, Note, Patch, Plan, Severity, Target, controller_reference, reference};
use k8s_openapi::api::core::v1::{Pod, PodResourceClaim};
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimConsumerReference, ResourceClaimTemplate};
use kube::api::ObjectMeta;
use serde_json::json;
use std::collections::BTreeMap;

const FAILED: &str = "FailedResourceClaimCreation";
/// Leaves room in a name for a hyphen and five random characters.
const LONGEST_BASE: usize = 57;

/// Makes missing claims, names in the pod's status those that there are, and reserves what the scheduler has not.
pub(super) fn plan(view: &PodView) -> Plan {
    let pod = view.pod.as_ref();
    let (mut actions, mut found) = (Vec::new(), BTreeMap::new());
    for entry in facts::entries(pod) {
        if is_settled(view, entry) {
            continue;
        }
        let Some(name) = &entry.resource_claim_template_name else { continue };
        match (made(view, entry), view.templates.get(name)) {
            (Some(claim), _) => _ = found.insert(entry.name.as_str(), claim),
            (None, Some(template)) => actions.push(make(pod, entry, template)),
            (None, None) => actions.push(missing(pod, entry, name)),
        }
    }
    if !found.is_empty() {
        actions.push(tell(pod, &found));
    }
    actions.extend(reserve(view));
    Plan::of(actions)
}

/// Whether an entry has its claim, or needs none.
fn is_settled(view: &PodView, entry: &PodResourceClaim) -> bool {
    match facts::claim_of(&view.pod, entry) {
        Some(Named { generated: false, .. }) => true,
        Some(Named { name, .. }) => {
            view.claims.get(name).is_some_and(|claim| facts::is_for(&view.pod, claim))
        }
        None => facts::is_unneeded(&view.pod, entry),
    }
}

/// The name of the claim that was made for an entry, though the pod's status may not say so.
fn made<'a>(view: &'a PodView, entry: &PodResourceClaim) -> Option<&'a str> {
    let fits = |claim: &&ResourceClaim| {
        let annotations = claim.metadata.annotations.as_ref();
        let purpose = annotations.and_then(|annotations| annotations.get(ANNOTATION));
        facts::is_for(&view.pod, claim) && purpose == Some(&entry.name)
    };
    // Of several the first by name, lest they take turns.
    let claims = view.claims.values().map(AsRef::as_ref).filter(fits);
    claims.filter_map(|claim| claim.metadata.name.as_deref()).min()
}

fn make(pod: &Pod, entry: &PodResourceClaim, template: &ResourceClaimTemplate) -> Action {
    let given = template.spec.metadata.clone().unwrap_or_default();
    let mut annotations = given.annotations.unwrap_or_default();
    annotations.insert(ANNOTATION.to_owned(), entry.name.clone());
    let metadata = ObjectMeta {
        namespace: pod.metadata.namespace.clone(),
        generate_name: Some(base(pod.metadata.name.as_deref().unwrap_or_default(), &entry.name)),
        annotations: Some(annotations),
        labels: given.labels,
        owner_references: Some(vec![controller_reference(pod)]),
        ..ObjectMeta::default()
    };
    let claim = ResourceClaim { metadata, spec: template.spec.spec.clone(), status: None };
    let announce = Announce {
        about: reference(pod),
        done: None,
        // The claim has no name yet, which upstream's message leaves room for.
        failed: (FAILED, format!("PodResourceClaim {}: create ResourceClaim : ", entry.name).into()),
    };
    Action::Create(claim.into(), Some(Box::new(announce)))
}

/// `pod-entry-`, or as much of both as there is room for.
fn base(pod: &str, entry: &str) -> String {
    let whole = format!("{pod}-{entry}-");
    if whole.len() <= LONGEST_BASE {
        return whole;
    }
    // Names are ASCII.
    let part = |name: &str| name.chars().take(name.len() * LONGEST_BASE / whole.len()).collect::<String>();
    format!("{}-{}", part(pod), part(entry))
}

fn missing(pod: &Pod, entry: &PodResourceClaim, template: &str) -> Action {
    let message = format!(
        "PodResourceClaim {}: resource claim template {template:?}: resourceclaimtemplate.resource.k8s.io {template:?} not found",
        entry.name
    );
    Note { about: reference(pod), severity: Severity::Warning, reason: FAILED, message }.into()
}

/// Names claims in the pod's status, beside those that it names already.
fn tell(pod: &Pod, found: &BTreeMap<&str, &str>) -> Action {
    let statuses = pod.status.iter().flat_map(|status| status.resource_claim_statuses.iter().flatten());
    let kept = statuses.filter(|status| !found.contains_key(status.name.as_str()));
    let kept = kept.map(|status| json!(status));
    let new = found.iter().map(|(name, claim)| json!({"name": name, "resourceClaimName": claim}));
    let body = json!({
        "metadata": {"uid": pod.metadata.uid, "resourceVersion": pod.metadata.resource_version},
        "status": {"resourceClaimStatuses": kept.chain(new).collect::<Vec<_>>()},
    });
    Patch { target: Target::of(pod), subresource: Some("status"), body }.into()
}

/// Reserves allocated claims for a pod that got its node from somebody else than the scheduler.
fn reserve(view: &PodView) -> Vec<Action> {
    let pod = view.pod.as_ref();
    if pods::node(pod).is_empty() {
        return Vec::new();
    }
    let claims = facts::entries(pod).filter_map(|entry| facts::claim_of(pod, entry));
    let claims = claims.filter_map(|named| Some((named.generated, view.claims.get(named.name)?)));
    let free = claims.filter(|(generated, claim)| {
        (!generated || facts::is_for(pod, claim)) && facts::can_be_reserved(pod, claim)
    });
    let user = ResourceClaimConsumerReference {
        resource: "pods".to_owned(),
        name: pod.metadata.name.clone().unwrap_or_default(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        ..ResourceClaimConsumerReference::default()
    };
    free.map(|(_, claim)| {
        let mut claim = claim.as_ref().clone();
        let status = claim.status.get_or_insert_default();
        status.reserved_for.get_or_insert_default().push(user.clone());
        Action::UpdateStatus(claim.into())
    })
    .collect()
}
