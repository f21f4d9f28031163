//! The built-in plugins: one file each and one line in [`defaults`]'s table.

mod balanced;
mod binder;
mod gates;
mod image_locality;
mod node_affinity;
mod node_fit;
mod node_name;
mod node_ports;
mod preemption;
mod priority_sort;
mod taints;
mod unschedulable;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::framework::{EnabledPlugin, Plugin, PluginArgs, Registry};

pub use balanced::NodeResourcesBalancedAllocation;
pub use binder::DefaultBinder;
pub use gates::SchedulingGates;
pub use image_locality::ImageLocality;
pub use node_affinity::NodeAffinity;
pub use node_fit::NodeResourcesFit;
pub use node_name::NodeName;
pub use node_ports::NodePorts;
pub use preemption::DefaultPreemption;
pub use priority_sort::PrioritySort;
pub use taints::TaintToleration;
pub use unschedulable::NodeUnschedulable;

type Make = fn(&PluginArgs) -> Arc<dyn Plugin>;

/// The built-in plugins in the order in which they are asked, with upstream's weights.
const TABLE: &[(&str, i64, Make)] = &[
    ("SchedulingGates", 0, |_| Arc::new(SchedulingGates)),
    ("PrioritySort", 0, |_| Arc::new(PrioritySort)),
    ("NodeUnschedulable", 0, |_| Arc::new(NodeUnschedulable)),
    ("NodeName", 0, |_| Arc::new(NodeName)),
    ("TaintToleration", 3, |_| Arc::new(TaintToleration)),
    ("NodeAffinity", 2, |_| Arc::new(NodeAffinity)),
    ("NodePorts", 0, |_| Arc::new(NodePorts)),
    ("NodeResourcesFit", 1, |_| Arc::new(NodeResourcesFit)),
    ("DefaultPreemption", 0, |_| Arc::new(DefaultPreemption)),
    ("NodeResourcesBalancedAllocation", 1, |_| Arc::new(NodeResourcesBalancedAllocation)),
    ("ImageLocality", 1, |_| Arc::new(ImageLocality)),
    ("DefaultBinder", 0, |_| Arc::new(DefaultBinder)),
];

/// Adds the built-in plugins to a registry.
pub(crate) fn register(registry: &mut Registry) {
    for (name, _, make) in TABLE {
        registry.register(*name, move |args| Ok(make(args)));
    }
}

/// The plugins of the default profile.
#[must_use]
pub fn defaults() -> Vec<EnabledPlugin> {
    TABLE
        .iter()
        .map(|(_, weight, make)| EnabledPlugin { plugin: make(&PluginArgs::Null), weight: *weight })
        .collect()
}
