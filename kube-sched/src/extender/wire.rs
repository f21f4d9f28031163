//! The messages. Upstream's decoder does not mind the case of a field's name, and extenders count on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A node that an extender is asked about: its name, and the object for those that do not know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer<'a> {
    pub(crate) name: &'a str,
    pub(crate) object: Option<&'a RawValue>,
}

/// What is sent to filter and to prioritise.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Question<'a> {
    pod: &'a RawValue,
    nodes: Option<NodeList<'a>>,
    node_names: Option<Vec<&'a str>>,
}

#[derive(Debug, Serialize)]
struct NodeList<'a> {
    metadata: Empty,
    items: Vec<&'a RawValue>,
}

#[derive(Debug, Serialize)]
struct Empty {}

impl<'a> Question<'a> {
    /// Names suffice for an extender that knows the nodes.
    pub(super) fn new(pod: &'a RawValue, nodes: &[Offer<'a>], names_suffice: bool) -> Self {
        let names = nodes.iter().map(|node| node.name);
        let objects = nodes.iter().filter_map(|node| node.object);
        Self {
            pod,
            nodes: (!names_suffice).then(|| NodeList { metadata: Empty {}, items: objects.collect() }),
            node_names: names_suffice.then(|| names.collect()),
        }
    }
}

/// The answer to a filter question.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", default)]
pub(super) struct FilterAnswer {
    nodes: Option<NamedList>,
    nodenames: Option<Vec<String>>,
    failednodes: Option<BTreeMap<String, String>>,
    failedandunresolvablenodes: Option<BTreeMap<String, String>>,
    error: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct NamedList {
    items: Option<Vec<Named>>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Named {
    metadata: Name,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Name {
    name: String,
}

/// Which nodes an extender leaves, and why not the others. Nodes that it does not mention at all are gone too.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Filtered {
    pub(crate) left: Vec<String>,
    pub(crate) failed: BTreeMap<String, String>,
    /// Those that preemption cannot help.
    pub(crate) hopeless: BTreeMap<String, String>,
}

impl FilterAnswer {
    /// The answer, or the error that it carries.
    pub(super) fn into_result(self, names_suffice: bool) -> Result<Filtered, String> {
        if let Some(error) = self.error.filter(|error| !error.is_empty()) {
            return Err(error);
        }
        let from_list =
            |list: NamedList| list.items.into_iter().flatten().map(|node| node.metadata.name).collect();
        let left = match self.nodenames.filter(|_| names_suffice) {
            Some(names) => names,
            None => self.nodes.map(from_list).unwrap_or_default(),
        };
        let hopeless = self.failedandunresolvablenodes.unwrap_or_default();
        let mut failed = self.failednodes.unwrap_or_default();
        failed.retain(|name, _| !hopeless.contains_key(name));
        Ok(Filtered { left, failed, hopeless })
    }
}

/// A node's score, from 0 to 10.
#[derive(Debug, Deserialize)]
pub(super) struct HostPriority {
    pub(super) host: String,
    pub(super) score: i64,
}

/// The pods that would have to leave a node.
#[derive(Debug, Clone)]
pub(crate) struct Victims<'a> {
    pub(crate) node: &'a str,
    /// Each pod's UID, and its object for extenders that do not know it.
    pub(crate) pods: Vec<(&'a str, Option<&'a RawValue>)>,
    /// How many of them break a disruption budget.
    pub(crate) violations: usize,
}

/// What is sent about preemptions.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PreemptQuestion<'a> {
    pod: &'a RawValue,
    node_name_to_victims: Option<BTreeMap<&'a str, PodVictims<'a>>>,
    node_name_to_meta_victims: Option<BTreeMap<&'a str, MetaVictims<'a>>>,
}

#[derive(Debug, Serialize)]
struct PodVictims<'a> {
    #[serde(rename = "Pods")]
    pods: Vec<&'a RawValue>,
    #[serde(rename = "NumPDBViolations")]
    violations: usize,
}

#[derive(Debug, Serialize)]
struct MetaVictims<'a> {
    #[serde(rename = "Pods")]
    pods: Vec<MetaPod<'a>>,
    #[serde(rename = "NumPDBViolations")]
    violations: usize,
}

#[derive(Debug, Serialize)]
struct MetaPod<'a> {
    #[serde(rename = "UID")]
    uid: &'a str,
}

impl<'a> PreemptQuestion<'a> {
    pub(super) fn new(pod: &'a RawValue, ways: &[Victims<'a>], identifiers_suffice: bool) -> Self {
        let whole = |way: &Victims<'a>| PodVictims {
            pods: way.pods.iter().filter_map(|(_, object)| *object).collect(),
            violations: way.violations,
        };
        let meta = |way: &Victims<'a>| MetaVictims {
            pods: way.pods.iter().map(|(uid, _)| MetaPod { uid }).collect(),
            violations: way.violations,
        };
        Self {
            pod,
            node_name_to_victims: (!identifiers_suffice)
                .then(|| ways.iter().map(|way| (way.node, whole(way))).collect()),
            node_name_to_meta_victims: identifiers_suffice
                .then(|| ways.iter().map(|way| (way.node, meta(way))).collect()),
        }
    }
}

/// The answer to a preemption question: the UIDs of the victims on each node that remains.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PreemptAnswer {
    pub(super) nodenametometavictims: Option<BTreeMap<String, Option<AcceptedVictims>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AcceptedVictims {
    #[serde(rename = "Pods")]
    pods: Option<Vec<Accepted>>,
}

#[derive(Debug, Deserialize)]
struct Accepted {
    #[serde(rename = "UID")]
    uid: String,
}

impl AcceptedVictims {
    pub(super) fn into_uids(self) -> Vec<String> {
        self.pods.into_iter().flatten().map(|pod| pod.uid).collect()
    }
}

/// What is sent to bind.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BindQuestion<'a> {
    pub(super) pod_name: &'a str,
    pub(super) pod_namespace: &'a str,
    #[serde(rename = "PodUID")]
    pub(super) pod_uid: &'a str,
    pub(super) node: &'a str,
}

/// The answer to it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BindAnswer {
    pub(super) error: Option<String>,
}

/// Brings the names of an answer's own fields, or of those of the objects in a list, into lower case.
pub(super) fn lower_case(answer: Value) -> Value {
    match answer {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.into_iter().map(lower_case).collect(),
        other => other,
    }
}
