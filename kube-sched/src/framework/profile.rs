//! Which plugins schedule a pod, in which order and with which weight.

use std::sync::Arc;

use super::{Plugin, PluginArgs, QueueSort, Registry};
use crate::{Error, plugins};

/// A plugin in a profile.
#[derive(Debug, Clone)]
pub struct EnabledPlugin {
    /// The plugin; takes part in every extension point it implements.
    pub plugin: Arc<dyn Plugin>,
    /// The weight of its score; unit: factor, zero keeps it from scoring.
    pub weight: i64,
}

/// The plugins for the pods of one `schedulerName`.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Pods with this `spec.schedulerName` are scheduled by this profile.
    pub scheduler_name: String,
    /// The plugins, in the order in which they are asked.
    pub plugins: Vec<EnabledPlugin>,
    /// How many of the nodes are looked for before scoring begins: percent of all nodes, 1 to 100; `None` adapts to the
    /// cluster's size (all nodes up to 100 nodes, 50 % shrinking to 5 % for larger clusters).
    pub percentage_of_nodes_to_score: Option<u8>,
}

impl Profile {
    /// A profile of named plugins with their weights.
    ///
    /// # Errors
    /// [`Error::UnknownPlugin`] when the registry lacks one, [`Error::PluginArgs`] when one cannot do without arguments.
    pub fn new(
        scheduler_name: impl Into<String>,
        registry: &Registry,
        plugins: &[(&str, i64)],
    ) -> Result<Self, Error> {
        let enable = |(name, weight): &(&str, i64)| {
            Ok(EnabledPlugin { plugin: registry.build(name, &PluginArgs::Null)?, weight: *weight })
        };
        Ok(Self {
            scheduler_name: scheduler_name.into(),
            plugins: plugins.iter().map(enable).collect::<Result<_, Error>>()?,
            percentage_of_nodes_to_score: None,
        })
    }

    /// Adds a plugin at the end.
    #[must_use]
    pub fn with(mut self, plugin: Arc<dyn Plugin>, weight: i64) -> Self {
        self.plugins.push(EnabledPlugin { plugin, weight });
        self
    }

    /// Whether the plugins make a scheduler.
    ///
    /// # Errors
    /// [`Error::Config`] when there is not exactly one queue order, no way to bind, or a percentage over 100.
    pub fn validate(&self) -> Result<(), Error> {
        let count = |has: fn(&dyn Plugin) -> bool| self.plugins.iter().filter(|p| has(&*p.plugin)).count();
        let reason = if count(|p| p.as_queue_sort().is_some()) != 1 {
            "needs exactly one plugin that sorts the queue"
        } else if count(|p| p.as_bind().is_some()) == 0 {
            "needs a plugin that binds"
        } else if self.percentage_of_nodes_to_score.is_some_and(|percent| percent > 100) {
            "percentage of nodes to score must be at most 100"
        } else {
            return Ok(());
        };
        Err(Error::Config(format!("profile {}: {reason}", self.scheduler_name)))
    }

    /// The plugin called `name`.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Option<&Arc<dyn Plugin>> {
        self.plugins.iter().map(|enabled| &enabled.plugin).find(|plugin| plugin.name() == name)
    }

    /// The queue's order.
    pub(crate) fn as_queue_sort(&self) -> Option<&dyn QueueSort> {
        self.plugins.iter().find_map(|enabled| enabled.plugin.as_queue_sort())
    }
}

impl Default for Profile {
    /// The `default-scheduler` with the built-in plugins and upstream's weights.
    fn default() -> Self {
        Self {
            scheduler_name: "default-scheduler".to_owned(),
            plugins: plugins::defaults(),
            percentage_of_nodes_to_score: None,
        }
    }
}
