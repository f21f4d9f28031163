//! The built-in plugins: one file each and one line in [`defaults`]'s table.

mod args;
mod balanced;
mod binder;
mod dynamic_resources;
mod gang;
mod gates;
mod image_locality;
mod node_affinity;
mod node_fit;
mod node_name;
mod node_ports;
mod pod_affinity;
mod preemption;
mod priority_sort;
mod spread;
mod taints;
mod unschedulable;
mod volumes;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::Error;
use crate::framework::{EnabledPlugin, Plugin, PluginArgs, Registry};

pub use balanced::NodeResourcesBalancedAllocation;
pub use binder::DefaultBinder;
pub use dynamic_resources::{
    BuiltinSelectors, DeviceFeatures, DeviceSelector, DynamicResources, MAX_SELECTOR_COST,
    MAX_SELECTOR_LENGTH, SelectorCompiler,
};
pub use gang::GangScheduling;
pub use gates::SchedulingGates;
pub use image_locality::ImageLocality;
pub use node_affinity::NodeAffinity;
pub use node_fit::{NodeResourcesFit, ResourceWeight, ScoringStrategy};
pub use node_name::NodeName;
pub use node_ports::NodePorts;
pub use pod_affinity::InterPodAffinity;
pub use preemption::DefaultPreemption;
pub use priority_sort::PrioritySort;
pub use spread::{Defaulting, PodTopologySpread};
pub use taints::TaintToleration;
pub use unschedulable::NodeUnschedulable;
pub use volumes::{NodeVolumeLimits, VolumeBinding, VolumeRestrictions, VolumeZone};

type Make = fn() -> Arc<dyn Plugin>;

/// The built-in plugins in the order in which they are asked, with upstream's weights.
const TABLE: &[(&str, i64, Make)] = &[
    ("SchedulingGates", 0, || Arc::new(SchedulingGates)),
    ("PrioritySort", 0, || Arc::new(PrioritySort)),
    ("NodeUnschedulable", 0, || Arc::new(NodeUnschedulable)),
    ("NodeName", 0, || Arc::new(NodeName)),
    ("TaintToleration", 3, || Arc::new(TaintToleration)),
    (NodeAffinity::NAME, 2, || Arc::new(NodeAffinity::default())),
    ("NodePorts", 0, || Arc::new(NodePorts)),
    (NodeResourcesFit::NAME, 1, || Arc::new(NodeResourcesFit::default())),
    ("VolumeRestrictions", 0, || Arc::new(VolumeRestrictions)),
    ("NodeVolumeLimits", 0, || Arc::new(NodeVolumeLimits)),
    (VolumeBinding::NAME, 0, || Arc::new(VolumeBinding::default())),
    ("VolumeZone", 0, || Arc::new(VolumeZone)),
    (PodTopologySpread::NAME, 2, || Arc::new(PodTopologySpread::default())),
    (InterPodAffinity::NAME, 2, || Arc::new(InterPodAffinity::default())),
    // An idle claim is given back rather than a pod evicted.
    (DynamicResources::NAME, 0, || Arc::new(DynamicResources::default())),
    (DefaultPreemption::NAME, 0, || Arc::new(DefaultPreemption::default())),
    (NodeResourcesBalancedAllocation::NAME, 1, || Arc::new(NodeResourcesBalancedAllocation::default())),
    ("ImageLocality", 1, || Arc::new(ImageLocality)),
    ("DefaultBinder", 0, || Arc::new(DefaultBinder)),
];

/// The built-in plugins that are not part of the default profile.
const OPTIONAL: &[(&str, Make)] = &[(GangScheduling::NAME, || Arc::new(GangScheduling::default()))];

type MakeWith = fn(&PluginArgs) -> Result<Arc<dyn Plugin>, Error>;

/// The built-in plugins that take arguments.
const WITH_ARGS: &[(&str, MakeWith)] = &[
    (NodeAffinity::NAME, |args| Ok(Arc::new(NodeAffinity::from_args(args)?))),
    (NodeResourcesFit::NAME, |args| Ok(Arc::new(NodeResourcesFit::from_args(args)?))),
    (NodeResourcesBalancedAllocation::NAME, |args| {
        Ok(Arc::new(NodeResourcesBalancedAllocation::from_args(args)?))
    }),
    (PodTopologySpread::NAME, |args| Ok(Arc::new(PodTopologySpread::from_args(args)?))),
    (DynamicResources::NAME, |args| Ok(Arc::new(DynamicResources::from_args(args)?))),
    (DefaultPreemption::NAME, |args| Ok(Arc::new(DefaultPreemption::from_args(args)?))),
    (InterPodAffinity::NAME, |args| Ok(Arc::new(InterPodAffinity::from_args(args)?))),
    (VolumeBinding::NAME, |args| Ok(Arc::new(VolumeBinding::from_args(args)?))),
];

/// Adds the built-in plugins to a registry.
pub(crate) fn register(registry: &mut Registry) {
    for (name, make) in TABLE
        .iter()
        .map(|(name, _, make)| (name, make))
        .chain(OPTIONAL.iter().map(|(name, make)| (name, make)))
    {
        registry.register(*name, move |given| args::none(name, given).map(|()| make()));
    }
    for (name, make) in WITH_ARGS {
        registry.register(*name, make);
    }
}

/// The plugins of the default profile.
#[must_use]
pub fn defaults() -> Vec<EnabledPlugin> {
    TABLE.iter().map(|(_, weight, make)| EnabledPlugin { plugin: make(), weight: *weight }).collect()
}
