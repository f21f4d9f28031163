//! Trying out which pods have to go.

use std::sync::Arc;

use super::candidate::{Candidate, importance};
use crate::framework::{Cycle, Profile, Status, Watched};
use crate::pod::PodInfo;
use crate::schedule::Filters;
use crate::snapshot::{Extent, NodeId, Snapshot};

/// One fork for all nodes that are tried: it is put back in order after each, so that few chunks of it are ever copied.
pub(super) struct DryRun<'a> {
    cycle: Cycle<'a>,
    profile: &'a Profile,
    /// Compiled once: what they depend on besides the node does not change by taking pods off.
    filters: Filters<'a>,
    fork: Snapshot,
    /// Whether the last node was judged by more than what is on it.
    looked_around: bool,
}

impl<'a> DryRun<'a> {
    pub(super) fn new(cycle: &Cycle<'a>, profile: &'a Profile) -> Self {
        let filters = Filters::compile(cycle, profile, &mut Watched::new(&mut ()));
        Self { cycle: *cycle, profile, filters, fork: cycle.snapshot.fork(), looked_around: false }
    }

    /// When the node changed last, if the outcome may be the same for other pods of the kind.
    pub(super) fn stamp(&self, node: NodeId) -> Option<u64> {
        let snapshot = self.cycle.snapshot;
        (!snapshot.is_nominated(self.cycle.pod, node)).then(|| snapshot.view(node).stamp())
    }

    /// Tries out a node, and says whether the outcome depends on nothing but what is on it.
    pub(super) fn try_out(&mut self, node: NodeId) -> (Result<Candidate, Status>, bool) {
        self.looked_around = self.filters.are_wide();
        let outcome = self.victims(node);
        (outcome, !self.looked_around)
    }

    /// What of the fork has to be right for the node to be judged.
    fn extent(&self, node: NodeId) -> Extent {
        let everything = self.filters.are_wide() || self.cycle.snapshot.has_nominated(node);
        if everything { Extent::Cluster } else { Extent::Node }
    }

    /// The least important pods whose removal from `node` lets the pod fit.
    fn victims(&mut self, node: NodeId) -> Result<Candidate, Status> {
        let pods = self.cycle.snapshot.view(node).pods().iter();
        let mut lower: Vec<_> = pods.filter(|pod| pod.priority < self.cycle.pod.priority).cloned().collect();
        if lower.is_empty() {
            return Err(Status::unresolvable("No preemption victims found for incoming pod"));
        }
        let extent = self.extent(node);
        lower.iter().for_each(|pod| self.fork.suspend(node, pod, extent));
        if let Err(status) = self.fits(node) {
            lower.iter().for_each(|pod| self.fork.resume(node, pod, extent));
            return Err(status);
        }
        lower.sort_by_key(|pod| importance(pod));
        let candidate = self.reprieve(node, lower, extent);
        candidate.victims().iter().for_each(|pod| self.fork.resume(node, pod, extent));
        Ok(candidate)
    }

    /// Lets as many of the suspended pods stay as possible: those whose eviction breaks a budget first, then by importance.
    fn reprieve(&mut self, node: NodeId, suspended: Vec<Arc<PodInfo>>, extent: Extent) -> Candidate {
        let breaks = self.cycle.snapshot.breaks_budgets(&suspended);
        let of = |wanted: bool| {
            let pods = suspended.iter().zip(&breaks).filter(move |(_, breaks)| **breaks == wanted);
            pods.map(|(pod, _)| pod)
        };
        let mut victims = Vec::new();
        for pod in of(true) {
            if !self.may_stay(node, pod, extent) {
                victims.push(Arc::clone(pod));
            }
        }
        let violations = victims.len();
        for pod in of(false) {
            if !self.may_stay(node, pod, extent) {
                victims.push(Arc::clone(pod));
            }
        }
        if violations > 0 {
            victims.sort_by_key(|pod| importance(pod));
        }
        Candidate::new(node, victims, violations)
    }

    /// Puts a pod back and takes it off again if the preemptor then does not fit.
    fn may_stay(&mut self, node: NodeId, pod: &Arc<PodInfo>, extent: Extent) -> bool {
        self.fork.resume(node, pod, extent);
        let stays = self.fits(node).is_ok();
        if !stays {
            self.fork.suspend(node, pod, extent);
        }
        stays
    }

    fn fits(&mut self, node: NodeId) -> Result<(), Status> {
        let (pod, view, mut nobody) = (self.cycle.pod, self.fork.view(node), ());
        let watched = &mut Watched::new(&mut nobody);
        self.filters.check_node_alone(view, watched).map_err(|(_, status)| status)?;
        let cycle = Cycle { snapshot: &self.fork, pod };
        if let Some(mut wide) = self.filters.compile_wide(&cycle, self.profile) {
            wide.check(view, watched).map_err(|(_, status)| status)?;
        }
        match self.fork.with_nominated(pod, view) {
            Some(fork) => {
                let cycle = Cycle { snapshot: &fork, pod };
                let mut filters = Filters::compile(&cycle, self.profile, watched);
                self.looked_around |= filters.are_wide();
                filters.check(fork.view(node), watched).map_err(|(_, status)| status)
            }
            None => Ok(()),
        }
    }
}
