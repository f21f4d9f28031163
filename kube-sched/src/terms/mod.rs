//! What a pod demands of the pods around it, in a form that a [`Snapshot`](crate::Snapshot) can count by.

mod label_query;
mod pod_query;
mod pod_terms;

pub use label_query::LabelQuery;
pub use pod_query::{PodQuery, PodTerm};
pub(crate) use pod_terms::spread_query;
pub use pod_terms::{Inclusion, PodTerms, Role, SpreadConstraint, TallyKey, Term, WeightedTerm};

/// The topology whose every domain is one node; no label can have this key.
pub const PER_NODE: &str = "";

/// The label that names a node's host.
pub(crate) const HOSTNAME: &str = "kubernetes.io/hostname";
/// The label that names a node's zone.
pub(crate) const ZONE: &str = "topology.kubernetes.io/zone";
