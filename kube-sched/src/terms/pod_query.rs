//! A set of pods, described by their labels and namespaces.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::LabelQuery;

/// Pods with certain labels in certain namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodTerm {
    /// Namespaces by name, sorted.
    pub namespaces: Vec<Arc<str>>,
    /// Namespaces by their labels, in addition to those by name; `None` for no others.
    pub namespace_query: Option<LabelQuery>,
    /// The pods' labels; `None` for no pods at all.
    pub labels: Option<LabelQuery>,
}

impl PodTerm {
    /// Whether a pod of `namespace` with `labels` is meant; `namespace_labels` is asked only when the name does not decide.
    pub fn matches<'a>(
        &self,
        namespace: &str,
        labels: Option<&BTreeMap<String, String>>,
        namespace_labels: impl FnOnce() -> Option<&'a BTreeMap<String, String>>,
    ) -> bool {
        self.labels.as_ref().is_some_and(|query| query.matches(labels))
            && (self.namespaces.iter().any(|name| **name == *namespace)
                || self
                    .namespace_query
                    .as_ref()
                    .is_some_and(|query| query.is_empty() || query.matches(namespace_labels())))
    }
}

/// The pods that every one of some terms means.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodQuery {
    /// The terms; a pod has to match all of them.
    pub terms: Vec<PodTerm>,
    /// Whether pods that are being deleted are left out.
    pub only_staying: bool,
}

impl PodQuery {
    /// A label that every matching pod carries, if there is one that shows from the query.
    pub(crate) fn anchor(&self) -> Option<(&str, &str)> {
        self.terms.iter().find_map(|term| term.labels.as_ref()?.anchor())
    }

    /// Whether the labels of namespaces decide which pods match.
    pub(crate) fn reads_namespaces(&self) -> bool {
        self.terms.iter().any(|term| term.namespace_query.as_ref().is_some_and(|query| !query.is_empty()))
    }
}
