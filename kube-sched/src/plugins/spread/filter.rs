//! Constraints that must hold.

use super::PodTopologySpread;
use super::exclusion::{Exclusion, Tallied};
use crate::framework::{Cycle, Filter, NodeFilter, Status};
use crate::snapshot::{Counts, NodeView};
use crate::terms::SpreadConstraint;

const MISSING: &str = "node(s) didn't match pod topology spread constraints (missing required label)";
const SKEW: &str = "node(s) didn't match pod topology spread constraints";

/// How many pods a domain may have so that one more still fits.
struct Limit {
    counts: Counts,
    most: i64,
}

impl Limit {
    fn new(constraint: &SpreadConstraint, Tallied { counts, least, domains }: Tallied) -> Self {
        let enough = i64::try_from(domains).unwrap_or(i64::MAX) >= constraint.min_domains;
        // Without any domain nothing can be skewed.
        let least = if enough { least.unwrap_or(i64::from(i32::MAX)) } else { 0 };
        Self { counts, most: constraint.max_skew + least - i64::from(constraint.itself) }
    }
}

struct Limits(Vec<Limit>);

impl Filter for PodTopologySpread {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>> {
        let constraints = self.constraints(cycle, true)?;
        let keys: Vec<_> = constraints.list.iter().flat_map(SpreadConstraint::tallies).collect();
        let fork = cycle.snapshot.keeping(&keys);
        let snapshot = fork.as_ref().unwrap_or(cycle.snapshot);
        let exclusion = Exclusion::new(cycle, snapshot, &constraints);
        let limit = |constraint| {
            let tallied = exclusion.tally(snapshot, &constraints, constraint)?;
            Some(Limit::new(constraint, tallied))
        };
        Some(Box::new(Limits(constraints.list.iter().filter_map(limit).collect())))
    }
}

impl NodeFilter for Limits {
    fn check(&mut self, node: NodeView<'_>) -> Result<(), Status> {
        for Limit { counts, most } in &self.0 {
            match counts.at(node.id()) {
                None => return Err(Status::unresolvable(MISSING)),
                Some(count) if count > *most => return Err(Status::unschedulable(SKEW)),
                Some(_) => {}
            }
        }
        Ok(())
    }
}
