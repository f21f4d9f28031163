//! The affinity terms and spread constraints of a pod, parsed.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    Affinity, Pod, PodAffinityTerm, TopologySpreadConstraint, WeightedPodAffinityTerm,
};

use super::{LabelQuery, PER_NODE, PodQuery, PodTerm};

/// What a tally counts in each domain of a topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Pods that match the query.
    Matching,
    /// Pods that refuse to run beside pods that match.
    Repelled,
    /// Pods that must run beside pods that match.
    Attracted,
    /// The weights with which pods like to run beside pods that match; negative when they dislike it.
    Inclined,
}

/// What is counted: pods related to a query, by the values of a node label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TallyKey {
    /// The query.
    pub query: Arc<PodQuery>,
    /// The node label, or [`PER_NODE`].
    pub topology: Arc<str>,
    /// The relation.
    pub role: Role,
}

/// One affinity or anti-affinity term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The pods it is about.
    pub query: Arc<PodQuery>,
    /// The node label that says what "beside" means.
    pub topology: Arc<str>,
}

impl Term {
    /// The tally with a certain relation to this term.
    #[must_use]
    pub fn tally(&self, role: Role) -> TallyKey {
        TallyKey { query: Arc::clone(&self.query), topology: Arc::clone(&self.topology), role }
    }
}

/// A preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedTerm {
    /// The term.
    pub term: Term,
    /// Its weight; negative for anti-affinity.
    pub weight: i64,
}

/// Whether nodes that a pod cannot use count when its skew is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Inclusion {
    /// Only nodes that the pod can use count.
    Honor,
    /// All nodes count.
    Ignore,
}

/// A topology spread constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpreadConstraint {
    /// The pods to spread.
    pub query: Arc<PodQuery>,
    /// Whether the pod that has the constraint is one of them.
    pub itself: bool,
    /// The node label whose values are the domains.
    pub topology: Arc<str>,
    /// How much fuller than the emptiest a domain may be.
    pub max_skew: i64,
    /// Whether a node that violates it is refused rather than disliked.
    pub hard: bool,
    /// With fewer domains than this the emptiest counts as empty.
    pub min_domains: i64,
    /// Whether nodes that the pod's node selector and affinity rule out count.
    pub node_affinity: Inclusion,
    /// Whether nodes with taints that the pod does not tolerate count.
    pub node_taints: Inclusion,
}

impl SpreadConstraint {
    /// Parses a constraint on the pods of `namespace` that `query` selects; `itself` says whether its pod is among them.
    pub(crate) fn parse(
        constraint: &TopologySpreadConstraint,
        namespace: &str,
        query: Option<LabelQuery>,
        itself: bool,
    ) -> Self {
        let policy = |text: Option<&str>, default| match text {
            Some("Honor") => Inclusion::Honor,
            Some("Ignore") => Inclusion::Ignore,
            _ => default,
        };
        Self {
            query: spread_query(namespace, query),
            itself,
            topology: constraint.topology_key.as_str().into(),
            max_skew: constraint.max_skew.into(),
            hard: constraint.when_unsatisfiable == "DoNotSchedule",
            min_domains: constraint.min_domains.unwrap_or(1).into(),
            node_affinity: policy(constraint.node_affinity_policy.as_deref(), Inclusion::Honor),
            node_taints: policy(constraint.node_taints_policy.as_deref(), Inclusion::Ignore),
        }
    }

    /// What a decision reads, for as long as no node is left out of the count.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = TallyKey> {
        [self.by_domain(), self.by_node()].into_iter()
    }

    /// The number of matching pods in each domain.
    #[must_use]
    pub fn by_domain(&self) -> TallyKey {
        self.tally(Arc::clone(&self.topology))
    }

    /// The number of matching pods on each node.
    #[must_use]
    pub fn by_node(&self) -> TallyKey {
        self.tally(PER_NODE.into())
    }

    fn tally(&self, topology: Arc<str>) -> TallyKey {
        TallyKey { query: Arc::clone(&self.query), topology, role: Role::Matching }
    }
}

/// The pods to spread: those of one namespace that stay. A selector without requirements counts none, as upstream has it.
pub(crate) fn spread_query(namespace: &str, query: Option<LabelQuery>) -> Arc<PodQuery> {
    let labels = query.filter(|query| !query.is_empty());
    let term = PodTerm { namespaces: vec![namespace.into()], namespace_query: None, labels };
    Arc::new(PodQuery { terms: vec![term], only_staying: true })
}

/// What a pod demands of the pods around it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodTerms {
    /// The pods that match all required affinity terms at once.
    pub company: Option<Arc<PodQuery>>,
    /// Each required affinity term.
    pub affinity: Vec<Term>,
    /// Each required anti-affinity term.
    pub anti_affinity: Vec<Term>,
    /// The preferred terms.
    pub preferred: Vec<WeightedTerm>,
    /// The spread constraints.
    pub spread: Vec<SpreadConstraint>,
    /// Everything that a snapshot counts while the pod is placed, with the pod's own weight in it.
    pub tallies: Vec<(TallyKey, i64)>,
}

impl PodTerms {
    /// Parses the terms of a pod; `None` when it has none, as most.
    #[must_use]
    pub fn parse(pod: &Pod) -> Option<Self> {
        let spec = pod.spec.as_ref()?;
        let mut terms = spec.affinity.as_ref().map(|affinity| affinity_of(pod, affinity)).unwrap_or_default();
        for constraint in spec.topology_spread_constraints.iter().flatten() {
            terms.add_constraint(pod, constraint);
        }
        terms.tallies = terms.wanted_tallies();
        (!terms.tallies.is_empty()).then_some(terms)
    }

    /// The tallies that answer whether required affinity is met, one for each term's topology.
    pub fn company_tallies(&self) -> impl Iterator<Item = TallyKey> {
        let tally = |query: &Arc<PodQuery>, term: &Term| TallyKey {
            query: Arc::clone(query),
            topology: Arc::clone(&term.topology),
            role: Role::Matching,
        };
        self.company.iter().flat_map(move |query| self.affinity.iter().map(move |term| tally(query, term)))
    }

    fn add_constraint(&mut self, pod: &Pod, constraint: &TopologySpreadConstraint) {
        let labels = pod.metadata.labels.as_ref();
        let keys = constraint.match_label_keys.as_deref().unwrap_or_default();
        let query = LabelQuery::parse(constraint.label_selector.as_ref())
            .map(|query| query.with_keys(keys, labels, true));
        let itself = query.as_ref().is_some_and(|query| query.matches(labels));
        self.spread.push(SpreadConstraint::parse(constraint, namespace_of(pod), query, itself));
    }

    fn wanted_tallies(&self) -> Vec<(TallyKey, i64)> {
        let mut tallies: Vec<_> = self.company_tallies().map(|key| (key, 0)).collect();
        tallies.extend(self.affinity.iter().map(|term| (term.tally(Role::Attracted), 1)));
        for term in &self.anti_affinity {
            tallies.extend([(term.tally(Role::Matching), 0), (term.tally(Role::Repelled), 1)]);
        }
        for WeightedTerm { term, weight } in &self.preferred {
            tallies.extend([(term.tally(Role::Matching), 0), (term.tally(Role::Inclined), *weight)]);
        }
        for constraint in &self.spread {
            tallies.extend(constraint.tallies().map(|key| (key, 0)));
        }
        tallies
    }
}

fn namespace_of(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or("default")
}

fn affinity_of(pod: &Pod, affinity: &Affinity) -> PodTerms {
    let (attract, repel) = (affinity.pod_affinity.as_ref(), affinity.pod_anti_affinity.as_ref());
    let required = |terms: Option<&Vec<PodAffinityTerm>>| {
        terms.into_iter().flatten().map(|term| parse(pod, term)).collect()
    };
    let weighted = |terms: Option<&Vec<WeightedPodAffinityTerm>>, sign: i64| {
        let parse = |term: &WeightedPodAffinityTerm| WeightedTerm {
            term: parse(pod, &term.pod_affinity_term),
            weight: i64::from(term.weight) * sign,
        };
        terms.into_iter().flatten().map(parse).filter(|term| term.weight != 0).collect::<Vec<_>>()
    };
    let affinity: Vec<Term> =
        required(attract.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()));
    let mut preferred =
        weighted(attract.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref()), 1);
    preferred.extend(weighted(
        repel.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref()),
        -1,
    ));
    let company = (!affinity.is_empty()).then(|| {
        let mut terms: Vec<_> = affinity.iter().flat_map(|term| term.query.terms.iter().cloned()).collect();
        terms.sort_unstable();
        terms.dedup();
        Arc::new(PodQuery { terms, only_staying: false })
    });
    PodTerms {
        company,
        affinity,
        anti_affinity: required(
            repel.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()),
        ),
        preferred,
        ..PodTerms::default()
    }
}

fn parse(pod: &Pod, term: &PodAffinityTerm) -> Term {
    let labels = pod.metadata.labels.as_ref();
    let keys = |keys: &Option<Vec<String>>| keys.clone().unwrap_or_default();
    let query = LabelQuery::parse(term.label_selector.as_ref()).map(|query| {
        query.with_keys(&keys(&term.match_label_keys), labels, true).with_keys(
            &keys(&term.mismatch_label_keys),
            labels,
            false,
        )
    });
    let mut namespaces: Vec<Arc<str>> =
        term.namespaces.iter().flatten().map(|name| name.as_str().into()).collect();
    if namespaces.is_empty() && term.namespace_selector.is_none() {
        namespaces.push(namespace_of(pod).into());
    }
    namespaces.sort_unstable();
    let namespace_query = LabelQuery::parse(term.namespace_selector.as_ref());
    let term_of_pods = PodTerm { namespaces, namespace_query, labels: query };
    Term {
        query: Arc::new(PodQuery { terms: vec![term_of_pods], only_staying: false }),
        topology: term.topology_key.as_str().into(),
    }
}
