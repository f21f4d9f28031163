//! What the pods of a workload have in common.
//!
//! Typed objects are large: a pod with one container and its volume of API credentials is some 12 KiB. Pods of one workload differ in
//! a few hundred bytes of that, so a scheduler that holds the rest once grows with the number of workloads.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::sweep::Sweep;
use crate::node::normalized_image;
use crate::pod::HostPort;
use crate::terms::PodTerms;

/// The annotations of an object.
type Annotations = BTreeMap<String, String>;

/// A pod's object without what is its own, and what decisions read of that, computed once.
///
/// Its own are its name, UID, version, generation, times and annotations, its node and its status. Nobody here asks for its managed fields and
/// for the volume of API credentials, which admission names at random, so they are left out as well.
#[derive(Clone, PartialEq)]
pub struct PodTemplate {
    /// The rest of the metadata: namespace, labels, owners, finalizers.
    pub metadata: ObjectMeta,
    /// The rest of the specification.
    pub spec: Option<PodSpec>,
    /// The host ports it wants.
    pub host_ports: Vec<HostPort>,
    /// The images of its containers, with `:latest` added where there is no tag.
    pub images: Vec<Arc<str>>,
    /// What it demands of the pods around it, if anything.
    pub terms: Option<PodTerms>,
}

impl fmt::Debug for PodTemplate {
    /// Whose it is; all of it may be pages long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ObjectMeta { namespace, labels, .. } = &self.metadata;
        f.debug_struct("PodTemplate")
            .field("namespace", namespace)
            .field("labels", labels)
            .finish_non_exhaustive()
    }
}

impl PodTemplate {
    /// The template of a pod from which what is its own has been taken.
    fn new(common: Pod) -> Self {
        let spec = common.spec.as_ref();
        let (host_ports, images) =
            (spec.map(host_ports).unwrap_or_default(), spec.map(images).unwrap_or_default());
        let terms = PodTerms::parse(&common);
        let Pod { metadata, mut spec, .. } = common;
        spec.iter_mut().for_each(shrink);
        Self { metadata, spec, host_ports, images, terms }
    }

    fn is_of(&self, common: &Pod) -> bool {
        self.metadata == common.metadata && self.spec == common.spec
    }
}

/// The templates of the pods that are there, so that those who are alike get the same one.
///
/// It keeps none alive. It finds a template by a part of it, and of several that have that part in common the last one, so it
/// holds as many as there are such parts at most.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    known: HashMap<u64, Known>,
    sweep: Sweep,
}

#[derive(Debug)]
struct Known {
    template: Weak<PodTemplate>,
    /// Those that a pod of this template had last. They are apart, since there are networks that write addresses into them.
    annotations: Option<Weak<Annotations>>,
}

impl Templates {
    /// The template of a pod from which what is its own has been taken.
    pub(crate) fn share(
        &mut self,
        common: Pod,
        annotations: Option<Annotations>,
    ) -> (Arc<PodTemplate>, Option<Arc<Annotations>>) {
        let key = family(&common);
        let known = self.known.get(&key);
        let template =
            known.and_then(|known| known.template.upgrade()).filter(|template| template.is_of(&common));
        let last = known.and_then(|known| known.annotations.as_ref()?.upgrade());
        let template = template.unwrap_or_else(|| Arc::new(PodTemplate::new(common)));
        let annotations =
            annotations.map(|new| last.filter(|last| **last == new).unwrap_or_else(|| Arc::new(new)));
        if self.sweep.is_due(self.known.len()) {
            self.known.retain(|_, known| known.template.strong_count() > 0);
            self.sweep.done(self.known.len());
        }
        let known = Known {
            template: Arc::downgrade(&template),
            annotations: annotations.as_ref().map(Arc::downgrade),
        };
        self.known.insert(key, known);
        (template, annotations)
    }
}

/// What is mostly different in pods of different workloads, and the same in those of one.
fn family(common: &Pod) -> u64 {
    let (metadata, mut hasher) = (&common.metadata, DefaultHasher::new());
    (&metadata.namespace, &metadata.labels, &metadata.finalizers).hash(&mut hasher);
    metadata.owner_references.iter().flatten().for_each(|owner| owner.uid.hash(&mut hasher));
    for container in common.spec.iter().flat_map(|spec| &spec.containers) {
        (&container.name, &container.image).hash(&mut hasher);
    }
    hasher.finish()
}

/// Takes the volume of API credentials out of a specification.
pub(crate) fn remove_credentials(spec: &mut PodSpec) {
    let injected = |name: &str| name.starts_with("kube-api-access-");
    let Some(volumes) = &mut spec.volumes else { return };
    if !volumes.iter().any(|volume| injected(&volume.name) && volume.projected.is_some()) {
        return;
    }
    volumes.retain(|volume| !injected(&volume.name));
    spec.volumes.take_if(|volumes| volumes.is_empty());
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        let Some(mounts) = &mut container.volume_mounts else { continue };
        mounts.retain(|mount| !injected(&mount.name));
        container.volume_mounts.take_if(|mounts| mounts.is_empty());
    }
}

/// Lists are read into room for more.
fn shrink(spec: &mut PodSpec) {
    spec.containers.shrink_to_fit();
    spec.volumes.iter_mut().for_each(Vec::shrink_to_fit);
    spec.tolerations.iter_mut().for_each(Vec::shrink_to_fit);
    spec.init_containers.iter_mut().for_each(Vec::shrink_to_fit);
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        container.env.iter_mut().for_each(Vec::shrink_to_fit);
        container.volume_mounts.iter_mut().for_each(Vec::shrink_to_fit);
        container.ports.iter_mut().for_each(Vec::shrink_to_fit);
    }
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars =
        spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            Some(HostPort {
                port: port.host_port.filter(|port| *port > 0)?,
                protocol: port.protocol.as_deref().unwrap_or("TCP").into(),
                ip: port.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0").into(),
            })
        })
        .collect()
}

fn images(spec: &PodSpec) -> Vec<Arc<str>> {
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    containers
        .filter_map(|container| container.image.as_deref())
        .map(|name| normalized_image(name).into())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{merge, parse};

    fn pod(extra: Value) -> Pod {
        let mut pod = json!({"metadata": {"namespace": "ns", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "web"}]}});
        merge(&mut pod, extra);
        parse(pod)
    }

    #[test]
    fn pods_that_are_alike_have_one_template() {
        let mut templates = Templates::default();
        let (first, _) = templates.share(pod(json!({})), None);
        assert!(Arc::ptr_eq(&first, &templates.share(pod(json!({})), None).0));
        for other in [
            json!({"metadata": {"namespace": "other"}}),
            json!({"metadata": {"labels": {"app": "db"}}}),
            json!({"metadata": {"finalizers": ["f"]}}),
            json!({"spec": {"containers": [{"name": "c", "image": "db"}]}}),
            json!({"spec": {"tolerations": [{"operator": "Exists"}]}}),
            json!({"spec": {"priority": 7}}),
        ] {
            let (template, _) = templates.share(pod(other.clone()), None);
            assert!(*template != *first, "{other}");
        }
    }

    #[test]
    fn annotations_are_had_in_common_or_not() {
        let mut templates = Templates::default();
        let mut share = |address: &str| {
            let annotations = [("address".to_owned(), address.to_owned())].into();
            let (template, annotations) = templates.share(pod(json!({})), Some(annotations));
            (template, annotations.unwrap())
        };
        let (first, same, other) = (share("a"), share("a"), share("b"));
        assert!(Arc::ptr_eq(&first.1, &same.1));
        assert_eq!(other.1.get("address").map(String::as_str), Some("b"));
        assert!(Arc::ptr_eq(&first.0, &other.0));
    }

    #[test]
    fn templates_that_nobody_has_any_more_are_forgotten() {
        let mut templates = Templates::default();
        let (kept, _) = templates.share(pod(json!({})), None);
        for number in 0..3 * Sweep::FIRST {
            templates.share(pod(json!({"metadata": {"labels": {"app": number.to_string()}}})), None);
            assert!(templates.known.len() <= Sweep::FIRST + 1);
        }
        assert!(Arc::ptr_eq(&kept, &templates.share(pod(json!({})), None).0), "it is still there");
    }

    #[test]
    fn credentials_are_no_part_of_a_template_and_other_volumes_are() {
        let volume = |name: &str, source: &str| json!({"name": name, source: {}});
        let with = |volumes: Value| {
            let names = volumes
                .as_array()
                .into_iter()
                .flatten()
                .map(|volume| json!({"name": volume["name"], "mountPath": "/"}));
            let mounts: Vec<_> = names.collect();
            pod(json!({"spec": {"volumes": volumes, "containers": [{"name": "c", "volumeMounts": mounts}]}}))
                .spec
                .unwrap()
        };
        let without = pod(json!({"spec": {"containers": [{"name": "c"}]}})).spec.unwrap();
        let mut injected = with(json!([volume("kube-api-access-abcde", "projected")]));
        remove_credentials(&mut injected);
        assert_eq!(injected, without);
        for own in [
            volume("data", "emptyDir"),
            volume("data", "projected"),
            volume("kube-api-access-mine", "emptyDir"),
        ] {
            let (mut spec, expected) = (with(json!([own])), with(json!([own])));
            remove_credentials(&mut spec);
            assert_eq!(spec, expected);
        }
        let mut both =
            with(json!([volume("kube-api-access-abcde", "projected"), volume("data", "emptyDir")]));
        remove_credentials(&mut both);
        assert_eq!(both, with(json!([volume("data", "emptyDir")])));
    }
}
