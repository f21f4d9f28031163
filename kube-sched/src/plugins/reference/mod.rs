//! Affinity and spreading as the API documentation describes them, over plain objects: slow and without any bookkeeping. What
//! the plugins decide is compared with this.

mod spread;
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PodAffinityTerm, WeightedPodAffinityTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::selector::labels_match;
use crate::{NodeInfo, PodInfo};

pub(super) type Labels = BTreeMap<String, String>;

/// A cluster as lists of objects.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) nodes: BTreeMap<String, Arc<NodeInfo>>,
    /// Placed pods and the names of their nodes, by key.
    pub(super) pods: BTreeMap<String, (PodInfo, String)>,
    pub(super) namespaces: BTreeMap<String, Labels>,
}

/// The lists of required and of preferred terms.
type Terms = (Vec<PodAffinityTerm>, Vec<WeightedPodAffinityTerm>);

fn affinity(pod: &PodInfo) -> Terms {
    let affinity = pod.spec().and_then(|s| s.affinity.as_ref()?.pod_affinity.clone()).unwrap_or_default();
    (
        affinity.required_during_scheduling_ignored_during_execution.unwrap_or_default(),
        affinity.preferred_during_scheduling_ignored_during_execution.unwrap_or_default(),
    )
}

fn anti_affinity(pod: &PodInfo) -> Terms {
    let affinity =
        pod.spec().and_then(|s| s.affinity.as_ref()?.pod_anti_affinity.clone()).unwrap_or_default();
    (
        affinity.required_during_scheduling_ignored_during_execution.unwrap_or_default(),
        affinity.preferred_during_scheduling_ignored_during_execution.unwrap_or_default(),
    )
}

/// A selector with the pod's own values of some keys demanded or excluded.
pub(super) fn with_keys(
    selector: Option<&LabelSelector>,
    keys: Option<&Vec<String>>,
    labels: Option<&Labels>,
    operator: &str,
) -> Option<LabelSelector> {
    let mut selector = selector?.clone();
    for key in keys.into_iter().flatten() {
        if let Some(value) = labels.and_then(|labels| labels.get(key)) {
            selector.match_expressions.get_or_insert_default().push(LabelSelectorRequirement {
                key: key.clone(),
                operator: operator.to_owned(),
                values: Some(vec![value.clone()]),
            });
        }
    }
    Some(selector)
}

impl World {
    /// Whether a term of `owner` means `other`.
    fn means(&self, owner: &PodInfo, term: &PodAffinityTerm, other: &PodInfo) -> bool {
        let named = term.namespaces.clone().unwrap_or_default();
        let by_name = if named.is_empty() && term.namespace_selector.is_none() {
            owner.namespace() == other.namespace()
        } else {
            named.iter().any(|name| name == other.namespace())
        };
        let by_label = term.namespace_selector.is_some()
            && labels_match(term.namespace_selector.as_ref(), self.namespaces.get(other.namespace()));
        let selector =
            with_keys(term.label_selector.as_ref(), term.match_label_keys.as_ref(), owner.labels(), "In");
        let selector =
            with_keys(selector.as_ref(), term.mismatch_label_keys.as_ref(), owner.labels(), "NotIn");
        (by_name || by_label) && labels_match(selector.as_ref(), other.labels())
    }

    /// The placed pods with their nodes, as far as these are known.
    pub(super) fn placed(&self) -> impl Iterator<Item = (&PodInfo, &NodeInfo)> {
        self.pods.values().filter_map(|(pod, node)| Some((pod, &**self.nodes.get(node)?)))
    }

    /// Why a pod may not run on a node.
    pub(super) fn affinity_verdict(&self, pod: &PodInfo, node: &NodeInfo) -> &'static str {
        let beside = |key: &str, other: &NodeInfo| {
            node.labels.contains_key(key) && node.labels.get(key) == other.labels.get(key)
        };
        let required = affinity(pod).0;
        let means_all = |other: &PodInfo| required.iter().all(|term| self.means(pod, term, other));
        let somewhere = self.placed().any(|(other, there)| {
            means_all(other) && required.iter().any(|term| there.labels.contains_key(&term.topology_key))
        });
        let labelled = required.iter().all(|term| node.labels.contains_key(&term.topology_key));
        let here = required.iter().all(|term| {
            self.placed().any(|(other, there)| means_all(other) && beside(&term.topology_key, there))
        });
        if !labelled || !(here || (!somewhere && means_all(pod))) {
            return "node(s) didn't match pod affinity rules";
        }
        let avoids = |owner: &PodInfo, other: &PodInfo, there: &NodeInfo| {
            let terms = anti_affinity(owner).0;
            terms.iter().any(|term| self.means(owner, term, other) && beside(&term.topology_key, there))
        };
        if self.placed().any(|(other, there)| avoids(pod, other, there)) {
            return "node(s) didn't match pod anti-affinity rules";
        }
        if self.placed().any(|(other, there)| avoids(other, pod, there)) {
            return "node(s) didn't satisfy existing pods anti-affinity rules";
        }
        ""
    }

    /// The normalised scores of some nodes, with a hard affinity weight of one.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]
    pub(super) fn affinity_scores(&self, pod: &PodInfo, nodes: &[Arc<NodeInfo>]) -> Vec<i64> {
        let raw: Vec<i64> = nodes.iter().map(|node| self.affinity_worth(pod, node)).collect();
        let (least, most) = (raw.iter().min().unwrap(), raw.iter().max().unwrap());
        let scale = |score: &i64| match most - least {
            0 => 0,
            range => (100.0 * ((score - least) as f64 / range as f64)) as i64,
        };
        raw.iter().map(scale).collect()
    }

    fn affinity_worth(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let mut worth = 0;
        for (other, there) in self.placed() {
            let beside = |key: &String| {
                let keys: BTreeSet<_> = [node.labels.get(key), there.labels.get(key)].into();
                keys.len() == 1 && !keys.contains(&None)
            };
            let mut add = |owner: &PodInfo, term: &PodAffinityTerm, who: &PodInfo, weight: i32| {
                if self.means(owner, term, who) && beside(&term.topology_key) {
                    worth += i64::from(weight);
                }
            };
            affinity(pod).1.iter().for_each(|t| add(pod, &t.pod_affinity_term, other, t.weight));
            anti_affinity(pod).1.iter().for_each(|t| add(pod, &t.pod_affinity_term, other, -t.weight));
            affinity(other).1.iter().for_each(|t| add(other, &t.pod_affinity_term, pod, t.weight));
            anti_affinity(other).1.iter().for_each(|t| add(other, &t.pod_affinity_term, pod, -t.weight));
            affinity(other).0.iter().for_each(|term| add(other, term, pod, 1));
        }
        worth
    }
}
