//! Required affinity and anti-affinity.

use super::InterPodAffinity;
use crate::framework::{Cycle, Filter, NodeFilter, Status};
use crate::snapshot::{Counts, NodeView, Snapshot, Sums};
use crate::terms::{PodTerms, Role};

const AFFINITY: &str = "node(s) didn't match pod affinity rules";
const ANTI_AFFINITY: &str = "node(s) didn't match pod anti-affinity rules";
const EXISTING: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// The demands of the pod and of the placed pods.
#[derive(Default)]
struct Demands {
    /// Pods that meet all affinity terms, by the topology of each term.
    company: Vec<Counts>,
    /// Whether the pod may go where there is no company: nobody has any, and the pod is its own.
    first: bool,
    /// Pods that each anti-affinity term avoids.
    avoided: Vec<Counts>,
    /// Placed pods that avoid this one.
    avoiding: Vec<Sums>,
}

impl Filter for InterPodAffinity {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>> {
        let mut demands = cycle.pod.terms().map_or_else(Demands::default, |terms| own(cycle, terms));
        demands.avoiding = cycle.snapshot.sums_of_others(cycle.pod, |role| i64::from(role == Role::Repelled));
        let none = demands.company.is_empty() && demands.avoided.is_empty() && demands.avoiding.is_empty();
        (!none).then(|| Box::new(demands) as Box<dyn NodeFilter>)
    }
}

fn own(cycle: &Cycle<'_>, terms: &PodTerms) -> Demands {
    let company: Vec<_> = terms.company_tallies().collect();
    let avoided: Vec<_> = terms.anti_affinity.iter().map(|term| term.tally(Role::Matching)).collect();
    // Before the first pod of its kind is placed nobody has counted for it.
    let fork = cycle.snapshot.keeping(company.iter().chain(&avoided));
    let snapshot: &Snapshot = fork.as_ref().unwrap_or(cycle.snapshot);
    let company: Vec<_> = company.iter().filter_map(|key| snapshot.counts(key)).collect();
    let alone = company.iter().all(|counts| counts.total() == 0);
    let itself = || terms.company.as_ref().is_some_and(|query| snapshot.selects(query, cycle.pod));
    Demands {
        first: alone && itself(),
        company,
        avoided: avoided.iter().filter_map(|key| snapshot.counts(key)).collect(),
        avoiding: Vec::new(),
    }
}

impl Demands {
    fn has_company(&self, node: NodeView<'_>) -> bool {
        let mut everywhere = true;
        for counts in &self.company {
            match counts.at(node.id()) {
                Some(count) => everywhere &= count > 0,
                None => return false,
            }
        }
        everywhere || self.first
    }
}

impl NodeFilter for Demands {
    fn check(&mut self, node: NodeView<'_>) -> Result<(), Status> {
        if !self.has_company(node) {
            return Err(Status::unresolvable(AFFINITY));
        }
        if self.avoided.iter().any(|counts| counts.at(node.id()).is_some_and(|count| count > 0)) {
            return Err(Status::unschedulable(ANTI_AFFINITY));
        }
        if self.avoiding.iter().any(|sums| sums.at(node.id()) > 0) {
            return Err(Status::unschedulable(EXISTING));
        }
        Ok(())
    }
}
