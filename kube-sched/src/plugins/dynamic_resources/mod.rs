//! Pods that use devices: graphics cards, network functions and the like, which drivers publish and claims ask for.
//!
//! What devices and claims there are is part of the [`Snapshot`](crate::Snapshot): [`Devices`](crate::snapshot::Devices).

mod allocate;
mod args;
mod claims;
mod filter;
mod gate;
mod hints;
mod prepare;
mod remedy;
mod reserve;
mod selector;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use args::DeviceFeatures;
pub use selector::{
    BuiltinSelectors, DeviceSelector, MAX_SELECTOR_COST, MAX_SELECTOR_LENGTH, SelectorCompiler,
};

use crate::framework::Plugin;
use selector::Selectors;

/// Keeps pods with claims for devices on nodes from which devices can be reached that meet the claims, and allocates and reserves these before
/// the pod is bound.
#[derive(Debug, Clone)]
pub struct DynamicResources {
    /// What is turned on.
    pub features: DeviceFeatures,
    /// What an attempt may cost on all nodes together.
    budget: u64,
    selectors: Arc<Selectors>,
}

impl DynamicResources {
    /// The name in profiles.
    pub const NAME: &str = "DynamicResources";

    /// Has selectors compiled by somebody else.
    #[must_use]
    pub fn with_selectors(mut self, compiler: Arc<dyn SelectorCompiler>) -> Self {
        self.selectors = Arc::new(Selectors::new(compiler));
        self
    }
}

impl Plugin for DynamicResources {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    crate::takes_part!(PreEnqueue, PreFilter, Filter, PostFilter, Reserve, PreBind, QueueingHints);
}
