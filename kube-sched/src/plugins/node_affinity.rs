//! `nodeSelector` and node affinity.

use k8s_openapi::api::core::v1::{
    NodeAffinity as AddedAffinity, NodeSelectorRequirement, NodeSelectorTerm, PreferredSchedulingTerm,
};
use serde::Deserialize;

use crate::Error;
use crate::complaint::Complaints;
use crate::framework::{
    ClusterEvent, Cycle, Feasible, Filter, Hint, NodeFilter, NodeScore, Plugin, PluginArgs, PreFilter,
    QueueingHints, Reach, Score, Status, normalize,
};
use crate::node::NodeInfo;
use crate::plugins::args::{accept, check_affinity, decode};
use crate::pod::PodInfo;
use crate::selector::{meets, term_matches};
use crate::snapshot::{LabelKey, LabelValue, NodeId, NodeView, Snapshot};

/// Refuses nodes that a pod's `nodeSelector` or required affinity does not match; prefers those its preferences match.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeAffinity {
    /// What every pod of the profile demands and prefers besides. Default: nothing.
    pub added_affinity: Option<AddedAffinity>,
}

impl NodeAffinity {
    /// The plugin's name.
    pub const NAME: &str = "NodeAffinity";

    /// Reads `NodeAffinityArgs`.
    ///
    /// # Errors
    /// [`Error::PluginArgs`] for fields that do not exist and terms that could never be applied to a node.
    pub fn from_args(args: &PluginArgs) -> Result<Self, Error> {
        let plugin: Self = decode(Self::NAME, args, &["addedAffinity"])?;
        let mut complaints = Complaints::default();
        if let Some(affinity) = &plugin.added_affinity {
            check_affinity("addedAffinity", affinity, &mut complaints);
        }
        accept(Self::NAME, complaints)?;
        Ok(plugin)
    }

    fn enforced(&self) -> Option<&[NodeSelectorTerm]> {
        let added = self.added_affinity.as_ref()?;
        let selector = added.required_during_scheduling_ignored_during_execution.as_ref()?;
        Some(&selector.node_selector_terms)
    }

    fn admits(&self, pod: &PodInfo, node: &NodeInfo) -> bool {
        let matches = |term: &NodeSelectorTerm| term_matches(term, &node.name, &node.labels);
        admits(pod, node) && self.enforced().is_none_or(|terms| terms.iter().any(matches))
    }
}

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    crate::takes_part!(PreFilter, Filter, Score, QueueingHints);
}

const ENFORCED: &str = "node(s) didn't match scheduler-enforced node affinity";
const REASON: &str = "node(s) didn't match Pod's node affinity/selector";

fn required(pod: &PodInfo) -> Option<&[NodeSelectorTerm]> {
    let affinity = pod.spec()?.affinity.as_ref()?.node_affinity.as_ref()?;
    let selector = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    Some(&selector.node_selector_terms)
}

fn preferred(pod: &PodInfo) -> &[PreferredSchedulingTerm] {
    let affinity = pod.spec().and_then(|spec| spec.affinity.as_ref()?.node_affinity.as_ref());
    affinity
        .and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_deref())
        .unwrap_or_default()
}

/// The names that a term's fields allow, if it restricts them by `In`.
fn names(term: &NodeSelectorTerm) -> Option<Vec<&str>> {
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let lists = fields.iter().filter(|r| r.key == "metadata.name" && r.operator == "In");
    lists
        .map(|r| r.values.iter().flatten().map(String::as_str).collect::<Vec<_>>())
        .reduce(|a, b| a.into_iter().filter(|name| b.contains(name)).collect())
}

impl PreFilter for NodeAffinity {
    /// When every term names its nodes, only those are worth looking at (the pods of daemon sets).
    fn pre_filter(&self, cycle: &Cycle<'_>) -> Result<Feasible, Status> {
        let Some(terms) = required(cycle.pod) else { return Ok(Feasible::All) };
        let Some(mut names) = terms.iter().map(names).collect::<Option<Vec<_>>>().map(|lists| lists.concat())
        else {
            return Ok(Feasible::All);
        };
        if names.is_empty() && !terms.is_empty() {
            return Err(Status::unresolvable("pod affinity terms conflict"));
        }
        names.sort_unstable();
        names.dedup();
        Ok(Feasible::Only(
            names.iter().filter_map(|name| cycle.snapshot.node(name)).map(|node| node.id()).collect(),
        ))
    }
}

/// A requirement on a label, in the snapshot's numbers where they suffice.
enum Requirement<'a> {
    In(Option<LabelKey>, Vec<LabelValue>),
    NotIn(Option<LabelKey>, Vec<LabelValue>),
    /// Everything else is compared as text.
    Text(&'a NodeSelectorRequirement),
}

impl<'a> Requirement<'a> {
    fn compile(snapshot: &Snapshot, requirement: &'a NodeSelectorRequirement) -> Self {
        let values =
            || requirement.values.iter().flatten().filter_map(|value| snapshot.label_value(value)).collect();
        let key = snapshot.label_key(&requirement.key);
        match requirement.operator.as_str() {
            "In" => Self::In(key, values()),
            "NotIn" => Self::NotIn(key, values()),
            _ => Self::Text(requirement),
        }
    }

    fn meets(&self, node: NodeView<'_>) -> bool {
        let has = |key: &Option<LabelKey>, values: &[LabelValue]| {
            key.and_then(|key| node.label(key)).is_some_and(|value| values.contains(&value))
        };
        match self {
            Self::In(key, values) => has(key, values),
            Self::NotIn(key, values) => !has(key, values),
            Self::Text(requirement) => {
                let value = node.info().and_then(|info| info.labels.get(&requirement.key));
                meets(requirement, value.map(String::as_str))
            }
        }
    }
}

/// A term, ready to be applied to nodes.
struct Term<'a> {
    labels: Vec<Requirement<'a>>,
    fields: &'a [NodeSelectorRequirement],
}

impl<'a> Term<'a> {
    fn compile(snapshot: &Snapshot, term: &'a NodeSelectorTerm) -> Self {
        let labels =
            term.match_expressions.iter().flatten().map(|r| Requirement::compile(snapshot, r)).collect();
        Self { labels, fields: term.match_fields.as_deref().unwrap_or_default() }
    }

    fn matches(&self, node: NodeView<'_>) -> bool {
        (!self.labels.is_empty() || !self.fields.is_empty())
            && self.labels.iter().all(|requirement| requirement.meets(node))
            && self.fields.iter().all(|r| r.key == "metadata.name" && meets(r, Some(node.name())))
    }
}

/// What a pod demands of a node's labels and name.
pub(super) struct Demands<'a> {
    /// `nodeSelector`; `None` for a key or value that no node has.
    selector: Vec<Option<(LabelKey, LabelValue)>>,
    terms: Option<Vec<Term<'a>>>,
}

impl<'a> Demands<'a> {
    /// The demands of a pod that has some.
    pub(super) fn of(cycle: &Cycle<'a>) -> Option<Self> {
        let snapshot = cycle.snapshot;
        let pair =
            |(key, value): (&String, &String)| snapshot.label_key(key).zip(snapshot.label_value(value));
        let selector: Vec<_> =
            cycle.pod.spec().and_then(|s| s.node_selector.as_ref()).into_iter().flatten().map(pair).collect();
        let terms: Option<Vec<_>> =
            required(cycle.pod).map(|terms| terms.iter().map(|t| Term::compile(snapshot, t)).collect());
        (!selector.is_empty() || terms.is_some()).then_some(Self { selector, terms })
    }

    /// Whether a node meets them.
    pub(super) fn admit(&self, node: NodeView<'_>) -> bool {
        let selected =
            self.selector.iter().all(|pair| pair.is_some_and(|(key, value)| node.label(key) == Some(value)));
        let wanted = || self.terms.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(node)));
        selected && wanted()
    }
}

/// The pod's demands and those of its profile.
struct AllDemands<'a> {
    enforced: Option<Vec<Term<'a>>>,
    own: Option<Demands<'a>>,
}

impl Filter for NodeAffinity {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>> {
        let compile = |terms: &'a [NodeSelectorTerm]| {
            terms.iter().map(|term| Term::compile(cycle.snapshot, term)).collect()
        };
        let demands = AllDemands { enforced: self.enforced().map(compile), own: Demands::of(cycle) };
        (demands.enforced.is_some() || demands.own.is_some())
            .then(|| Box::new(demands) as Box<dyn NodeFilter>)
    }
}

impl NodeFilter for AllDemands<'_> {
    fn check(&mut self, node: NodeView<'_>) -> Result<(), Status> {
        if self.enforced.as_ref().is_some_and(|terms| !terms.iter().any(|term| term.matches(node))) {
            return Err(Status::unresolvable(ENFORCED));
        }
        if self.own.as_ref().is_none_or(|own| own.admit(node)) {
            Ok(())
        } else {
            Err(Status::unresolvable(REASON))
        }
    }

    fn reach(&self) -> Reach {
        Reach::Node
    }
}

struct Preferences<'a> {
    snapshot: &'a Snapshot,
    terms: Vec<(i64, Term<'a>)>,
}

impl Score for NodeAffinity {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>, _feasible: &[NodeId]) -> Option<Box<dyn NodeScore + 'a>> {
        let snapshot = cycle.snapshot;
        let added = self.added_affinity.as_ref();
        let added = added.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_deref());
        let terms = preferred(cycle.pod).iter().chain(added.unwrap_or_default());
        let terms = terms.filter(|term| term.weight != 0);
        let terms: Vec<_> =
            terms.map(|term| (i64::from(term.weight), Term::compile(snapshot, &term.preference))).collect();
        (!terms.is_empty()).then(|| Box::new(Preferences { snapshot, terms }) as Box<dyn NodeScore>)
    }
}

impl NodeScore for Preferences<'_> {
    fn score(&mut self, nodes: &[NodeId], scores: &mut [i64]) {
        for (node, score) in nodes.iter().zip(scores) {
            let view = self.snapshot.view(*node);
            *score = self.terms.iter().filter(|(_, term)| term.matches(view)).map(|(weight, _)| weight).sum();
        }
    }

    fn normalize(&mut self, scores: &mut [i64]) {
        normalize(scores, false);
    }

    fn reach(&self) -> Reach {
        Reach::Node
    }
}

fn admits(pod: &PodInfo, node: &NodeInfo) -> bool {
    let mut selector = pod.spec().and_then(|spec| spec.node_selector.as_ref()).into_iter().flatten();
    selector.all(|(key, value)| node.labels.get(key) == Some(value))
        && required(pod)
            .is_none_or(|terms| terms.iter().any(|term| term_matches(term, &node.name, &node.labels)))
}

impl QueueingHints for NodeAffinity {
    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        let helps = match event {
            ClusterEvent::NodeAdded(node) => self.admits(pod, node),
            ClusterEvent::NodeUpdated { old, new } => !self.admits(pod, old) && self.admits(pod, new),
            ClusterEvent::PodUpdated { old, new } => {
                let selectors =
                    |pod: &PodInfo| pod.spec().map(|s| (s.node_selector.clone(), s.affinity.clone()));
                new.uid == pod.uid && selectors(old) != selectors(new)
            }
            ClusterEvent::Unknown => true,
            _ => false,
        };
        if helps { Hint::Queue } else { Hint::Skip }
    }
}
