//! Which events may help a pod that affinity kept from every node.

use super::InterPodAffinity;
use crate::framework::{ClusterEvent, Hint, QueueingHints};
use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::terms::PodQuery;

/// Whether a query may mean a pod. An event does not know the labels of namespaces, so these are taken to match.
fn may_select(query: &PodQuery, pod: &PodInfo) -> bool {
    query.terms.iter().all(|term| {
        let by_labels = || term.labels.as_ref().is_some_and(|labels| labels.matches(pod.labels()));
        if term.namespace_query.is_some() {
            by_labels()
        } else {
            term.matches(pod.namespace(), pod.labels(), || None)
        }
    })
}

fn company(pod: &PodInfo, other: &PodInfo) -> bool {
    let query = pod.terms().and_then(|terms| terms.company.as_ref());
    query.is_some_and(|query| may_select(query, other))
}

/// Whether one of the two keeps away from the other.
fn apart(pod: &PodInfo, other: &PodInfo) -> bool {
    let avoids = |pod: &PodInfo, other: &PodInfo| {
        let mut terms = pod.terms().into_iter().flat_map(|terms| &terms.anti_affinity);
        terms.any(|term| may_select(&term.query, other))
    };
    avoids(pod, other) || avoids(other, pod)
}

fn admits(pod: &PodInfo, node: &NodeInfo) -> bool {
    let mut affinity = pod.terms().into_iter().flat_map(|terms| &terms.affinity);
    affinity.all(|term| node.labels.contains_key(&*term.topology))
}

impl QueueingHints for InterPodAffinity {
    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        let helps = match event {
            ClusterEvent::PodPlaced(other) => company(pod, other),
            ClusterEvent::PodRemoved(other) => apart(pod, other),
            ClusterEvent::PlacedPodUpdated { old, new } => {
                (!company(pod, old) && company(pod, new)) || (apart(pod, old) && !apart(pod, new))
            }
            ClusterEvent::NodeAdded(node) => admits(pod, node),
            // By which label another pod's term keeps this one away is not known here, so any counts.
            ClusterEvent::NodeUpdated { old, new } => admits(pod, new) && old.labels != new.labels,
            ClusterEvent::PodUpdated { old, new } => {
                new.uid == pod.uid && (old.labels() != new.labels() || old.terms() != new.terms())
            }
            ClusterEvent::Unknown => true,
            _ => false,
        };
        if helps { Hint::Queue } else { Hint::Skip }
    }
}
