//! Plugins by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Plugin;
use crate::{Error, plugins};

/// Arguments of a plugin, as in `pluginConfig[].args`; `Null` when there are none.
pub type PluginArgs = serde_json::Value;

type Factory = Arc<dyn Fn(&PluginArgs) -> Result<Arc<dyn Plugin>, Error> + Send + Sync>;

/// The plugins that profiles may name. [`Registry::default`] has the built-in ones.
///
/// ```
/// use std::sync::Arc;
/// use kube_sched::framework::{Cycle, Filter, NodeFilter, Plugin, Registry, Status};
/// use kube_sched::snapshot::NodeView;
///
/// /// Keeps every pod off nodes whose name does not begin with `blue-`.
/// #[derive(Debug)]
/// struct Blue;
///
/// impl Plugin for Blue {
///     fn name(&self) -> &'static str { "Blue" }
///     fn as_filter(&self) -> Option<&dyn Filter> { Some(self) }
/// }
/// impl Filter for Blue {
///     fn compile<'a>(&'a self, _: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>> { Some(Box::new(Self)) }
/// }
/// impl NodeFilter for Blue {
///     fn check(&mut self, node: NodeView<'_>) -> Result<(), Status> {
///         if node.name().starts_with("blue-") { Ok(()) } else { Err(Status::unresolvable("node(s) were not blue")) }
///     }
/// }
///
/// let mut registry = Registry::default();
/// registry.register("Blue", |_| Ok(Arc::new(Blue)));
/// assert!(registry.build("Blue", &serde_json::Value::Null).is_ok());
/// ```
#[derive(Clone)]
pub struct Registry {
    factories: BTreeMap<String, Factory>,
}

impl Registry {
    /// A registry without plugins.
    #[must_use]
    pub fn empty() -> Self {
        Self { factories: BTreeMap::new() }
    }

    /// Adds a plugin or replaces the one of the same name.
    pub fn register<F>(&mut self, name: impl Into<String>, factory: F)
    where
        F: Fn(&PluginArgs) -> Result<Arc<dyn Plugin>, Error> + Send + Sync + 'static,
    {
        self.factories.insert(name.into(), Arc::new(factory));
    }

    /// Whether there is a plugin called `name`.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.factories.contains_key(name)
    }

    /// Makes the plugin called `name`.
    ///
    /// # Errors
    /// [`Error::UnknownPlugin`] when there is none, [`Error::PluginArgs`] when it rejects its arguments.
    pub fn build(&self, name: &str, args: &PluginArgs) -> Result<Arc<dyn Plugin>, Error> {
        let factory = self.factories.get(name).ok_or_else(|| Error::UnknownPlugin(name.to_owned()))?;
        factory(args)
    }
}

impl Default for Registry {
    fn default() -> Self {
        let mut registry = Self::empty();
        plugins::register(&mut registry);
        registry
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.factories.keys()).finish()
    }
}
