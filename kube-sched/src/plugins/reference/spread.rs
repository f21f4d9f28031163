//! Topology spread constraints, slowly.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::TopologySpreadConstraint;

use super::{World, with_keys};
use crate::selector::{labels_match, term_matches, tolerated};
use crate::{NodeInfo, PodInfo};

fn constraints(pod: &PodInfo, action: &str) -> Vec<TopologySpreadConstraint> {
    let all = pod.spec().and_then(|spec| spec.topology_spread_constraints.clone()).unwrap_or_default();
    all.into_iter().filter(|constraint| constraint.when_unsatisfiable == action).collect()
}

fn matches(pod: &PodInfo, constraint: &TopologySpreadConstraint, other: &PodInfo) -> bool {
    let keys = constraint.match_label_keys.as_ref();
    let selector = with_keys(constraint.label_selector.as_ref(), keys, pod.labels(), "In");
    pod.namespace() == other.namespace() && labels_match(selector.as_ref(), other.labels())
}

/// Whether a placed pod counts; a selector without requirements counts none.
fn counts(pod: &PodInfo, constraint: &TopologySpreadConstraint, other: &PodInfo) -> bool {
    let blank = constraint.label_selector.as_ref().is_none_or(|selector| {
        selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
            && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
            && constraint
                .match_label_keys
                .iter()
                .flatten()
                .all(|key| pod.labels().is_none_or(|labels| !labels.contains_key(key)))
    });
    !blank && !other.is_terminating() && matches(pod, constraint, other)
}

fn eligible(pod: &PodInfo, constraint: &TopologySpreadConstraint, node: &NodeInfo) -> bool {
    let spec = pod.spec().unwrap();
    let selected =
        spec.node_selector.iter().flatten().all(|(key, value)| node.labels.get(key) == Some(value));
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let wanted = required.is_none_or(|required| {
        required.node_selector_terms.iter().any(|term| term_matches(term, &node.name, &node.labels))
    });
    let repelled = node
        .taints
        .iter()
        .any(|taint| taint.effect != "PreferNoSchedule" && !tolerated(pod.tolerations(), taint));
    (constraint.node_affinity_policy.as_deref() == Some("Ignore") || (selected && wanted))
        && (constraint.node_taints_policy.as_deref() != Some("Honor") || !repelled)
}

impl World {
    fn count_on(&self, pod: &PodInfo, constraint: &TopologySpreadConstraint, node: &NodeInfo) -> i64 {
        let here =
            self.placed().filter(|(other, there)| there.name == node.name && counts(pod, constraint, other));
        i64::try_from(here.count()).unwrap()
    }

    /// Pods by domain over the nodes that count.
    fn by_domain(
        &self,
        pod: &PodInfo,
        constraint: &TopologySpreadConstraint,
        all: &[TopologySpreadConstraint],
    ) -> BTreeMap<String, i64> {
        let mut domains = BTreeMap::new();
        for node in self.nodes.values() {
            let complete = all.iter().all(|other| node.labels.contains_key(&other.topology_key));
            if complete && eligible(pod, constraint, node) {
                let domain = node.labels[&constraint.topology_key].clone();
                *domains.entry(domain).or_default() += self.count_on(pod, constraint, node);
            }
        }
        domains
    }

    /// Why a pod may not run on a node.
    pub(super) fn spread_verdict(&self, pod: &PodInfo, node: &NodeInfo) -> &'static str {
        let all = constraints(pod, "DoNotSchedule");
        for constraint in &all {
            let Some(domain) = node.labels.get(&constraint.topology_key) else {
                return "node(s) didn't match pod topology spread constraints (missing required label)";
            };
            let domains = self.by_domain(pod, constraint, &all);
            let few = i32::try_from(domains.len()).unwrap() < constraint.min_domains.unwrap_or(1);
            let least = domains.values().copied().min().unwrap_or(i64::from(i32::MAX));
            let least = if few { 0 } else { least };
            let here = domains.get(domain).copied().unwrap_or_default();
            let skew = here + i64::from(matches(pod, constraint, pod)) - least;
            if skew > i64::from(constraint.max_skew) {
                return "node(s) didn't match pod topology spread constraints";
            }
        }
        ""
    }

    /// The normalised scores of some nodes.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]
    pub(super) fn spread_scores(&self, pod: &PodInfo, nodes: &[Arc<NodeInfo>]) -> Vec<i64> {
        let all = constraints(pod, "ScheduleAnyway");
        let complete =
            |node: &NodeInfo| all.iter().all(|constraint| node.labels.contains_key(&constraint.topology_key));
        let judged: Vec<_> = nodes.iter().filter(|node| complete(node)).collect();
        let cost = |node: &NodeInfo| {
            let mut sum = 0.0;
            for constraint in &all {
                let host = constraint.topology_key == "kubernetes.io/hostname";
                let mut values: Vec<_> = judged.iter().map(|n| &n.labels[&constraint.topology_key]).collect();
                values.sort();
                values.dedup();
                let domains = if host { judged.len() } else { values.len() };
                let count = if host {
                    self.count_on(pod, constraint, node)
                } else {
                    let by_domain = self.by_domain(pod, constraint, &all);
                    by_domain.get(&node.labels[&constraint.topology_key]).copied().unwrap_or_default()
                };
                sum += count as f64 * (domains as f64 + 2.0).ln() + f64::from(constraint.max_skew - 1);
            }
            sum.round() as i64
        };
        let costs: Vec<Option<i64>> = nodes.iter().map(|node| complete(node).then(|| cost(node))).collect();
        let (least, most) = (costs.iter().flatten().min(), costs.iter().flatten().max());
        let scale = |cost: &Option<i64>| match (cost, least, most) {
            (Some(_), Some(_), Some(0)) => 100,
            (Some(cost), Some(least), Some(most)) => 100 * (most + least - cost) / most,
            _ => 0,
        };
        costs.iter().map(scale).collect()
    }
}
