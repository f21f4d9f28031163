//! The filters of a profile, compiled for one pod.

use crate::framework::{Cycle, NodeFilter, Profile, Reach, Status};
use crate::snapshot::NodeView;

/// A plugin's refusal.
pub(crate) type Refusal = (&'static str, Status);

struct Compiled<'a> {
    plugin: &'static str,
    filter: Box<dyn NodeFilter + 'a>,
    reach: Reach,
}

/// Filters in the order in which they are asked. Which of them there are depends on the pod's kind alone for those that
/// look at nothing but the node, so their places tell verdicts apart from one pod of a kind to the next.
pub(crate) struct Filters<'a>(Vec<Compiled<'a>>);

impl<'a> Filters<'a> {
    pub(crate) fn compile(cycle: &Cycle<'a>, profile: &'a Profile) -> Self {
        let filters = profile.plugins.iter().filter_map(|enabled| {
            let filter = enabled.plugin.as_filter()?.compile(cycle)?;
            Some(Compiled { plugin: enabled.plugin.name(), reach: filter.reach(), filter })
        });
        Self(filters.collect())
    }

    /// Compiles, for another state of the cluster, the filters that look at more than the node.
    pub(crate) fn compile_rest<'b>(&self, cycle: &Cycle<'b>, profile: &'b Profile) -> Filters<'b> {
        let alone = |name| self.0.iter().any(|known| known.reach == Reach::Node && known.plugin == name);
        let rest = profile.plugins.iter().filter(|enabled| !alone(enabled.plugin.name()));
        let filters = rest.filter_map(|enabled| {
            let filter = enabled.plugin.as_filter()?.compile(cycle)?;
            Some(Compiled { plugin: enabled.plugin.name(), reach: filter.reach(), filter })
        });
        Filters(filters.collect())
    }

    /// Asks all filters.
    pub(crate) fn check(&mut self, node: NodeView<'_>) -> Result<(), Refusal> {
        self.0.iter_mut().try_for_each(|compiled| ask(compiled, node))
    }

    /// Asks the filters that look at nothing but the node.
    pub(crate) fn check_node_alone(&mut self, node: NodeView<'_>) -> Result<(), Refusal> {
        let mut alone = self.0.iter_mut().filter(|compiled| compiled.reach == Reach::Node);
        alone.try_for_each(|compiled| ask(compiled, node))
    }

    /// The verdict of all filters when that of those that look at nothing but the node is known.
    pub(crate) fn complete(
        &mut self,
        node: NodeView<'_>,
        alone: &Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let refusing = alone.as_ref().err().map(|(plugin, _)| *plugin);
        for compiled in &mut self.0 {
            if Some(compiled.plugin) == refusing {
                break;
            }
            if compiled.reach == Reach::Cluster {
                ask(compiled, node)?;
            }
        }
        alone.clone()
    }
}

fn ask(compiled: &mut Compiled<'_>, node: NodeView<'_>) -> Result<(), Refusal> {
    compiled.filter.check(node).map_err(|status| (compiled.plugin, status))
}
