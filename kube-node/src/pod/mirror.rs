//! Mirror pods: what the API server shows of static pods. Pure.

use k8s_openapi::{
    api::core::v1::{Node, Pod},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};

/// The annotation that says where a pod comes from.
pub(crate) const SOURCE: &str = "kubernetes.io/config.source";
/// The annotation that identifies the content of a static pod.
pub(crate) const HASH: &str = "kubernetes.io/config.hash";
/// The annotation that makes a pod of the API a mirror, of the static pod with this hash.
pub(crate) const MIRROR: &str = "kubernetes.io/config.mirror";
/// The source of static pods.
pub(crate) const FILE: &str = "file";

/// What to do about one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Nothing,
    Create,
    Delete,
}

fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Whether a pod runs because of a file. Pods from the API server lose this annotation before anybody asks.
pub(crate) fn is_static(pod: &Pod) -> bool {
    annotation(pod, SOURCE) == Some(FILE)
}

/// Whether a pod of the API server only shows a static pod.
pub(crate) fn is_mirror(pod: &Pod) -> bool {
    annotation(pod, MIRROR).is_some()
}

/// A pod as the API server has it, without what would make it look like a static one.
pub(crate) fn without_source(mut pod: Pod) -> Pod {
    if is_static(&pod)
        && let Some(annotations) = &mut pod.metadata.annotations
    {
        annotations.remove(SOURCE);
    }
    pod
}

/// Brings the API server closer to showing the static pod, and nothing where there is none.
pub(crate) fn step(wanted: Option<&Pod>, mirror: Option<&Pod>) -> Step {
    match (wanted, mirror) {
        (None, None) => Step::Nothing,
        (Some(_), None) => Step::Create,
        (None, Some(_)) => Step::Delete,
        (Some(wanted), Some(mirror)) => {
            let same = annotation(wanted, HASH) == annotation(mirror, MIRROR);
            // Who deletes a mirror deletes no pod; another mirror takes its place.
            match same && mirror.metadata.deletion_timestamp.is_none() {
                true => Step::Nothing,
                false => Step::Delete,
            }
        }
    }
}

/// The mirror of a static pod, owned by its node.
pub(crate) fn mirror(pod: &Pod, node: &Node) -> Pod {
    let mut mirror = pod.clone();
    let hash = annotation(pod, HASH).unwrap_or_default().to_owned();
    let meta = &mut mirror.metadata;
    meta.annotations.get_or_insert_default().insert(MIRROR.to_owned(), hash);
    meta.uid = None;
    meta.deletion_grace_period_seconds = None;
    meta.owner_references = Some(vec![OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: node.metadata.name.clone().unwrap_or_default(),
        uid: node.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
    mirror.status = None;
    mirror
}

/// The static pod with what the API server says about its mirror: the status, and how new that is.
pub(crate) fn with_status_of(pod: &Pod, mirror: Option<&Pod>) -> Pod {
    let mut pod = pod.clone();
    pod.status = mirror.and_then(|mirror| mirror.status.clone());
    pod.metadata.resource_version = mirror.and_then(|mirror| mirror.metadata.resource_version.clone());
    pod
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mirrors_follow_static_pods() {
        let pod = |hash: &str| -> Pod {
            let annotations = json!({SOURCE: FILE, HASH: hash});
            let meta = json!({"name": "a", "uid": "u", "annotations": annotations});
            serde_json::from_value(json!({"metadata": meta})).unwrap()
        };
        let node: Node = serde_json::from_value(json!({"metadata": {"name": "n", "uid": "nu"}})).unwrap();
        let shown = mirror(&pod("1"), &node);
        assert_eq!(shown.metadata.uid, None);
        assert_eq!(shown.metadata.owner_references.as_ref().unwrap()[0].uid, "nu");
        assert!(is_mirror(&shown) && !is_mirror(&pod("1")) && is_static(&pod("1")));
        let mut doomed = shown.clone();
        doomed.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        for (wanted, mirror, expected) in [
            (None, None, Step::Nothing),
            (Some(pod("1")), None, Step::Create),
            (Some(pod("1")), Some(shown.clone()), Step::Nothing),
            (Some(pod("2")), Some(shown.clone()), Step::Delete),
            (Some(pod("1")), Some(doomed), Step::Delete),
            (None, Some(shown), Step::Delete),
        ] {
            assert_eq!(step(wanted.as_ref(), mirror.as_ref()), expected);
        }
    }
}
