//! The pod template's identity: its hash, and whether a set was made from it.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The label that tells the pods of one set from those of its siblings.
pub(super) const HASH_LABEL: &str = "pod-template-hash";
/// No vowels and no digits that look like them, so that no word can arise by accident.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// What a generated name may at most be long.
const MAX_NAME: usize = 63;

/// The hash of a template, in at most ten letters of the safe alphabet; collisions are told apart by their count.
pub(super) fn hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    // Maps are ordered and absent fields left out, so equal templates have equal bytes.
    let bytes = serde_json::to_vec(template).unwrap_or_default();
    let seed = collisions.map(i32::to_le_bytes);
    let all = bytes.iter().chain(seed.iter().flatten());
    let sum = all.fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    sum.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

fn spec_hash(deployment: &Deployment, spec: &DeploymentSpec) -> String {
    hash(&spec.template, deployment.status.as_ref().and_then(|status| status.collision_count))
}

/// The hash of a deployment's current template.
pub(super) fn current_hash(deployment: &Deployment) -> String {
    deployment.spec.as_ref().map(|spec| spec_hash(deployment, spec)).unwrap_or_default()
}

/// The name of the set for a deployment's current template.
pub(super) fn set_name(deployment: &Deployment) -> String {
    let hash = current_hash(deployment);
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let room = MAX_NAME.saturating_sub(hash.len() + 1);
    let cut = (0..=room.min(name.len())).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    format!("{}-{hash}", &name[..cut])
}

/// A template with the hash among its labels.
pub(super) fn labelled(template: &PodTemplateSpec, hash: &str) -> PodTemplateSpec {
    let mut template = template.clone();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH_LABEL.into(), hash.into());
    template
}

/// A selector that also asks for the hash.
pub(super) fn labelled_selector(selector: &LabelSelector, hash: &str) -> LabelSelector {
    let mut selector = selector.clone();
    selector.match_labels.get_or_insert_default().insert(HASH_LABEL.into(), hash.into());
    selector
}

fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    if let Some(meta) = &mut template.metadata {
        let labels = meta.labels.take().map(|mut labels| {
            labels.remove(HASH_LABEL);
            labels
        });
        meta.labels = labels.filter(|labels| !labels.is_empty());
        meta.creation_timestamp = None;
    }
    template
}

/// Whether a set was made from this template.
pub(super) fn is_made_from(set: &ReplicaSet, template: &PodTemplateSpec) -> bool {
    let theirs = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
    theirs.is_some_and(|theirs| without_hash(theirs) == without_hash(template))
}
