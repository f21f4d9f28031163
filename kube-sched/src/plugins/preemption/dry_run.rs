//! Trying out which pods have to go.

use std::sync::Arc;

use super::candidate::{Candidate, importance};
use crate::framework::{Cycle, Profile, Status};
use crate::pod::PodInfo;
use crate::schedule::{Filters, check_node};
use crate::snapshot::{Extent, NodeId, Snapshot};

/// One fork for all nodes that are tried: it is put back in order after each, so that few chunks of it are ever copied.
pub(super) struct DryRun<'a> {
    cycle: Cycle<'a>,
    profile: &'a Profile,
    /// Compiled once: what they depend on besides the node does not change by taking pods off.
    filters: Filters<'a>,
    fork: Snapshot,
    /// What of the fork anybody looks at.
    extent: Extent,
}

impl<'a> DryRun<'a> {
    pub(super) fn new(cycle: &Cycle<'a>, profile: &'a Profile) -> Self {
        let filters = Filters::compile(cycle, profile);
        let everything = filters.are_wide() || cycle.snapshot.has_nominations();
        let extent = if everything { Extent::Cluster } else { Extent::Node };
        Self { cycle: *cycle, profile, filters, fork: cycle.snapshot.fork(), extent }
    }

    /// The least important pods whose removal from `node` lets the pod fit.
    pub(super) fn victims(&mut self, node: NodeId) -> Result<Candidate, Status> {
        let pods = self.cycle.snapshot.view(node).pods().iter();
        let mut lower: Vec<_> = pods.filter(|pod| pod.priority < self.cycle.pod.priority).cloned().collect();
        if lower.is_empty() {
            return Err(Status::unresolvable("No preemption victims found for incoming pod"));
        }
        lower.iter().for_each(|pod| self.fork.suspend(node, pod, self.extent));
        if let Err(status) = self.fits(node) {
            lower.iter().for_each(|pod| self.fork.resume(node, pod, self.extent));
            return Err(status);
        }
        lower.sort_by_key(|pod| importance(pod));
        let candidate = self.reprieve(node, lower);
        candidate.victims.iter().for_each(|pod| self.fork.resume(node, pod, self.extent));
        Ok(candidate)
    }

    /// Lets as many of the suspended pods stay as possible: those whose eviction breaks a budget first, then by importance.
    fn reprieve(&mut self, node: NodeId, suspended: Vec<Arc<PodInfo>>) -> Candidate {
        let breaks = self.cycle.snapshot.breaks_budgets(&suspended);
        let of = |wanted: bool| {
            let pods = suspended.iter().zip(&breaks).filter(move |(_, breaks)| **breaks == wanted);
            pods.map(|(pod, _)| pod)
        };
        let mut candidate = Candidate { node, victims: Vec::new(), violations: 0 };
        for pod in of(true) {
            if !self.may_stay(node, pod) {
                candidate.victims.push(Arc::clone(pod));
            }
        }
        candidate.violations = candidate.victims.len();
        for pod in of(false) {
            if !self.may_stay(node, pod) {
                candidate.victims.push(Arc::clone(pod));
            }
        }
        if candidate.violations > 0 {
            candidate.victims.sort_by_key(|pod| importance(pod));
        }
        candidate
    }

    /// Puts a pod back and takes it off again if the preemptor then does not fit.
    fn may_stay(&mut self, node: NodeId, pod: &Arc<PodInfo>) -> bool {
        self.fork.resume(node, pod, self.extent);
        let stays = self.fits(node).is_ok();
        if !stays {
            self.fork.suspend(node, pod, self.extent);
        }
        stays
    }

    fn fits(&mut self, node: NodeId) -> Result<(), Status> {
        let (pod, view) = (self.cycle.pod, self.fork.view(node));
        self.filters.check_node_alone(view).map_err(|(_, status)| status)?;
        let cycle = Cycle { snapshot: &self.fork, pod };
        if let Some(mut wide) = self.filters.compile_wide(&cycle, self.profile) {
            wide.check(view).map_err(|(_, status)| status)?;
        }
        match self.fork.with_nominated(pod, view) {
            Some(fork) => check_node(&fork, pod, self.profile, node),
            None => Ok(()),
        }
    }
}
