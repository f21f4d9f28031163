//! Pods of one kind spread evenly over the domains of a topology.

mod exclusion;
mod filter;
mod hints;
mod score;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use serde::Deserialize;

use crate::Error;
use crate::complaint::{Complaints, unqualified};
use crate::framework::{Cycle, Plugin, PluginArgs};
use crate::plugins::args::{accept, decode};
use crate::terms::SpreadConstraint;

/// Where the constraints come from of pods that have none themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Defaulting {
    /// Pods of one service or workload are spread over hosts and zones, as a preference.
    #[default]
    System,
    /// The constraints listed in the arguments apply.
    List,
}

/// Refuses nodes where a `DoNotSchedule` constraint would be violated, and prefers those where the others are met best.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PodTopologySpread {
    /// Constraints of pods that have none and that a service or workload selects; without selectors of their own. Default: none.
    pub default_constraints: Vec<TopologySpreadConstraint>,
    /// Whether these or the system's constraints are the default. Default: the system's.
    pub defaulting_type: Defaulting,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Args {
    default_constraints: Vec<TopologySpreadConstraint>,
    defaulting_type: String,
}

/// The constraints that apply to a pod.
struct Constraints<'a> {
    list: Cow<'a, [SpreadConstraint]>,
    /// Whether nodes count that lack a topology: only for the system's defaults.
    lenient: bool,
}

impl PodTopologySpread {
    /// The plugin's name.
    pub const NAME: &str = "PodTopologySpread";

    /// Reads `PodTopologySpreadArgs`.
    ///
    /// # Errors
    /// [`Error::PluginArgs`] for fields that do not exist, constraints that no pod could have or that have selectors, and
    /// constraints that are listed though the system's apply.
    pub fn from_args(args: &PluginArgs) -> Result<Self, Error> {
        let Args { default_constraints, defaulting_type } =
            decode(Self::NAME, args, &["defaultConstraints", "defaultingType"])?;
        let mut complaints = Complaints::default();
        let defaulting_type = match defaulting_type.as_str() {
            "List" => Defaulting::List,
            "System" | "" => Defaulting::System,
            other => {
                complaints.unsupported("defaultingType", other, &["System", "List"]);
                Defaulting::List
            }
        };
        let excess = defaulting_type == Defaulting::System && !default_constraints.is_empty();
        let reason = "when .defaultConstraints are not empty";
        complaints.invalid_if(excess, "defaultingType", "\"System\"", reason);
        check_constraints(&default_constraints, &mut complaints);
        accept(Self::NAME, complaints)?;
        Ok(Self { default_constraints, defaulting_type })
    }

    /// The constraints of a pod, or its default ones, that are hard or soft.
    fn constraints<'a>(&self, cycle: &Cycle<'a>, hard: bool) -> Option<Constraints<'a>> {
        let own = cycle.pod.terms().map_or(&[][..], |terms| &terms.spread);
        let list = if own.is_empty() { Cow::Owned(self.defaults(cycle)) } else { Cow::Borrowed(own) };
        let list = match list {
            Cow::Borrowed(list) if list.iter().all(|c| c.hard == hard) => Cow::Borrowed(list),
            list => Cow::Owned(list.iter().filter(|c| c.hard == hard).cloned().collect()),
        };
        let lenient = own.is_empty() && self.defaulting_type == Defaulting::System;
        (!list.is_empty()).then_some(Constraints { list, lenient })
    }

    fn defaults(&self, cycle: &Cycle<'_>) -> Vec<SpreadConstraint> {
        if self.defaulting_type == Defaulting::System {
            return cycle.snapshot.default_constraints(cycle.pod);
        }
        let (namespace, labels) = (cycle.pod.namespace(), cycle.pod.labels());
        let Some(query) = cycle.snapshot.default_query(cycle.pod) else { return Vec::new() };
        let parse = |constraint: &TopologySpreadConstraint| {
            let keys = constraint.match_label_keys.as_deref().unwrap_or_default();
            let query = query.clone().with_keys(keys, labels, true);
            let itself = query.matches(labels);
            SpreadConstraint::parse(constraint, namespace, Some(query), itself)
        };
        self.default_constraints.iter().map(parse).collect()
    }
}

/// As the API server judges the constraints of pods, except that these have no selectors.
fn check_constraints(constraints: &[TopologySpreadConstraint], it: &mut Complaints) {
    for (index, constraint) in constraints.iter().enumerate() {
        let path = format!("defaultConstraints[{index}]");
        let (skew, key, action) =
            (constraint.max_skew, &constraint.topology_key, constraint.when_unsatisfiable.as_str());
        it.invalid_if(skew <= 0, format_args!("{path}.maxSkew"), skew, "not in valid range (0, inf)");
        match key.as_str() {
            "" => it.required(format_args!("{path}.topologyKey"), "can not be empty"),
            key => unqualified(key).iter().for_each(|flaw| {
                it.invalid(format_args!("{path}.topologyKey"), format_args!("{key:?}"), flaw);
            }),
        }
        match action {
            "DoNotSchedule" | "ScheduleAnyway" => {}
            "" => it.required(format_args!("{path}.whenUnsatisfiable"), "can not be empty"),
            other => it.unsupported(
                format_args!("{path}.whenUnsatisfiable"),
                other,
                &["DoNotSchedule", "ScheduleAnyway"],
            ),
        }
        if constraint.label_selector.is_some() {
            let detail = "constraint must not define a selector, as they deduced for each pod";
            it.forbidden(format_args!("{path}.labelSelector"), detail);
        }
        let same = |other: &TopologySpreadConstraint| {
            other.topology_key == *key && other.when_unsatisfiable == action
        };
        if constraints.iter().take(index).any(same) {
            it.duplicate(&path, format_args!("\"{{{key}, {action}}}\""));
        }
    }
}

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    crate::takes_part!(Filter, Score, QueueingHints);
}
