//! What a scheduling cycle found out.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::resource::v1::ResourceClaim;

use crate::framework::{NodeStatus, Preemption, Reason, Status};
use crate::snapshot::NodeId;

/// A decision that explains itself: for every node it looked at, who refused it and why, or every score.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What is to be done.
    pub outcome: Outcome,
    /// Nodes in the cluster.
    pub total_nodes: usize,
    /// The plugin that refused the pod as a whole, if one did.
    pub refused_pod: Option<(&'static str, Status)>,
    /// The plugins that ruled out all but a few nodes beforehand.
    pub narrowed_by: Vec<&'static str>,
    /// The nodes that were refused, in the order in which they were looked at.
    pub refused: Vec<NodeStatus>,
    /// The feasible nodes, in the order in which they were found.
    pub feasible: Vec<NodeId>,
    /// The scores of each plugin; empty when one node or none is feasible.
    pub scores: Vec<PluginScores>,
    /// The sum of the weighted scores of each feasible node.
    pub totals: Vec<i64>,
    /// A way to make the pod schedulable, if one was found.
    pub preemption: Option<Preemption>,
    /// Why there is no such way.
    pub post_filter: Vec<Reason>,
    /// A claim that is to give its devices back, since they keep the pod from its nodes.
    pub deallocation: Option<Arc<ResourceClaim>>,
    /// Whether no way was found, so that room that was made for the pod before is of no use to it.
    pub gives_up_nomination: bool,
}

/// What is to be done with the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Run it on this node.
    Node(Arc<str>),
    /// Keep it until the cluster changes.
    Unschedulable,
    /// Try again later: a plugin failed.
    Failed {
        /// What the plugin was asked.
        stage: FailedAt,
        /// The plugin.
        plugin: &'static str,
        /// What it said.
        status: Status,
    },
}

/// A question to plugins whose failure ends the cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedAt {
    /// Whether the pod can be placed at all.
    PreFilter,
    /// Whether it can be placed on a node.
    Filter,
    /// Whether what it needs on its node can be set aside.
    Reserve,
    /// Whether it may be bound.
    Permit,
    /// What an extender thinks of its nodes.
    Extender,
}

/// One plugin's scores of the feasible nodes, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginScores {
    /// The plugin.
    pub plugin: &'static str,
    /// The weight of its score.
    pub weight: i64,
    /// As the plugin computed them.
    pub raw: Vec<i64>,
    /// Normalised and multiplied by the weight.
    pub weighted: Vec<i64>,
}

impl Decision {
    pub(super) fn new(total_nodes: usize) -> Self {
        Self {
            outcome: Outcome::Unschedulable,
            total_nodes,
            refused_pod: None,
            narrowed_by: Vec::new(),
            refused: Vec::new(),
            feasible: Vec::new(),
            scores: Vec::new(),
            totals: Vec::new(),
            preemption: None,
            deallocation: None,
            post_filter: Vec::new(),
            gives_up_nomination: false,
        }
    }

    /// A fresh decision in the memory of one that is spent.
    pub(super) fn in_place_of(spent: Self, total_nodes: usize) -> Self {
        let Self { mut refused, mut feasible, mut scores, mut totals, .. } = spent;
        refused.clear();
        feasible.clear();
        scores.clear();
        totals.clear();
        Self { refused, feasible, scores, totals, ..Self::new(total_nodes) }
    }

    pub(super) fn refuse_pod(&mut self, plugin: &'static str, status: Status) {
        if status.is_rejection() {
            self.refused_pod = Some((plugin, status));
        } else {
            self.outcome = Outcome::Failed { stage: FailedAt::PreFilter, plugin, status };
        }
    }

    /// Whether there are nodes but none for the pod.
    pub(crate) fn needs_remedy(&self) -> bool {
        let failed = matches!(self.outcome, Outcome::Failed { .. });
        self.total_nodes > 0 && !failed && self.feasible.is_empty()
    }

    /// The chosen node's name.
    #[must_use]
    pub fn node(&self) -> Option<&Arc<str>> {
        match &self.outcome {
            Outcome::Node(name) => Some(name),
            _ => None,
        }
    }

    /// The plugins that stand in the way, each once; events that none of them cares about need not wake the pod.
    #[must_use]
    pub fn rejected_by(&self) -> Vec<&'static str> {
        let nodes = self.refused.iter().map(|refused| refused.plugin);
        let mut plugins: Vec<_> = nodes
            .chain(self.refused_pod.iter().map(|(plugin, _)| *plugin))
            .chain(self.narrowed_by.iter().copied())
            .collect();
        plugins.sort_unstable();
        plugins.dedup();
        plugins
    }

    /// Why the pod is not placed, in upstream's words: the number of nodes for each reason.
    #[must_use]
    pub fn message(&self) -> String {
        if let Outcome::Failed { stage, plugin, status } = &self.outcome {
            let text = status.message();
            return match stage {
                FailedAt::Filter => format!("running {plugin:?} filter plugin: {text}"),
                FailedAt::Extender => text,
                stage => format!("running {stage:?} plugin {plugin:?}: {text}"),
            };
        }
        if self.total_nodes == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let mut message = format!("0/{} nodes are available:", self.total_nodes);
        let cause = match &self.refused_pod {
            Some((_, status)) => status.message(),
            None => self.histogram(),
        };
        if !cause.is_empty() {
            message = format!("{message} {cause}.");
        }
        if !self.post_filter.is_empty() {
            let reasons: Vec<_> = self.post_filter.iter().map(Reason::as_str).collect();
            message = format!("{message} {}", reasons.join(", "));
        }
        message
    }

    fn histogram(&self) -> String {
        let reasons = self
            .refused
            .iter()
            .flat_map(|refused| refused.status.reasons.iter())
            .map(|reason| (reason.as_str(), 1));
        let absent = self.total_nodes.saturating_sub(self.refused.len());
        let mut narrowed_by = self.narrowed_by.clone();
        narrowed_by.sort_unstable();
        let narrowed = format!("node(s) didn't satisfy plugin(s) [{}]", narrowed_by.join(" "));
        let ruled_out = (!self.narrowed_by.is_empty()).then_some((narrowed.as_str(), absent));
        count_reasons(reasons.chain(ruled_out))
    }
}

/// `2 Insufficient cpu, 1 node(s) were unschedulable`: counts by reason, sorted as text.
pub(crate) fn count_reasons<'a>(reasons: impl Iterator<Item = (&'a str, usize)>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (reason, count) in reasons {
        *counts.entry(reason).or_default() += count;
    }
    let mut texts: Vec<_> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    texts.sort_unstable();
    texts.join(", ")
}
