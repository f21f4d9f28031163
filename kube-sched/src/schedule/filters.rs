//! The filters of a profile, compiled for one pod.

use crate::framework::{Code, Cycle, NodeFilter, Observer, Plugin, Point, Profile, Reach, Status, Watched};
use crate::snapshot::NodeView;

/// A plugin's refusal.
pub(crate) type Refusal = (&'static str, Status);

struct Compiled<'a> {
    plugin: &'static str,
    /// The plugin's place in the profile.
    place: usize,
    filter: Box<dyn NodeFilter + 'a>,
    reach: Reach,
    /// How many nodes it was asked about.
    asked: usize,
}

impl<'a> Compiled<'a> {
    fn new(place: usize, plugin: &'a dyn Plugin, cycle: &Cycle<'a>) -> Option<Self> {
        let filter = plugin.as_filter()?.compile(cycle)?;
        Some(Self { plugin: plugin.name(), place, reach: filter.reach(), filter, asked: 0 })
    }

    #[inline]
    fn ask<O>(&mut self, node: NodeView<'_>, watched: &mut Watched<'_, O>) -> Result<(), Refusal>
    where
        O: Observer + ?Sized,
    {
        self.asked += 1;
        let filter = &mut self.filter;
        let verdict = watched.plugin(Point::Filter, self.plugin, || filter.check(node), code);
        verdict.map_err(|status| (self.plugin, status))
    }
}

/// Filters in the order in which they are asked. Which of them there are depends on the pod's kind alone for those that
/// look at nothing but the node, so their places tell verdicts apart from one pod of a kind to the next.
pub(crate) struct Filters<'a> {
    all: Vec<Compiled<'a>>,
    /// The places of those that look at more than the node.
    wide: Vec<usize>,
}

impl<'a> Filters<'a> {
    pub(crate) fn compile<O>(cycle: &Cycle<'a>, profile: &'a Profile, watched: &mut Watched<'_, O>) -> Self
    where
        O: Observer + ?Sized,
    {
        let mut filters = Vec::with_capacity(profile.plugins.len());
        for (place, plugin) in profile.plugins.iter().map(|enabled| &*enabled.plugin).enumerate() {
            if plugin.as_filter().is_none() {
                continue;
            }
            let compile = || Compiled::new(place, plugin, cycle);
            filters.extend(watched.plugin(Point::PreFilter, plugin.name(), compile, |_| None));
        }
        Self::of(filters)
    }

    fn of(all: Vec<Compiled<'a>>) -> Self {
        let wide = (0..all.len()).filter(|place| all[*place].reach == Reach::Cluster).collect();
        Self { all, wide }
    }

    /// Whether one of them looks at more than the node.
    pub(crate) fn are_wide(&self) -> bool {
        !self.wide.is_empty()
    }

    /// Compiles the filters that look at more than the node for the same cluster with fewer pods; `None` if there are none.
    pub(crate) fn compile_wide<'b>(&self, cycle: &Cycle<'b>, profile: &'b Profile) -> Option<Filters<'b>> {
        if self.wide.is_empty() {
            return None;
        }
        let wide = |name| self.wide.iter().any(|place| self.all[*place].plugin == name);
        let plugins = profile.plugins.iter().map(|enabled| &*enabled.plugin).enumerate();
        let filters = plugins
            .filter(|(_, plugin)| wide(plugin.name()))
            .filter_map(|(place, plugin)| Compiled::new(place, plugin, cycle));
        Some(Filters::of(filters.collect()))
    }

    /// Tells that these are the plugins that have something to say about the pod.
    pub(crate) fn tell_prepared<O: Observer + ?Sized>(&self, watched: &mut Watched<'_, O>) {
        self.all.iter().for_each(|compiled| watched.evaluated(Point::PreFilter, compiled.place, 1));
    }

    /// Tells how many nodes each of them was asked about.
    pub(crate) fn tell_asked<O: Observer + ?Sized>(&self, watched: &mut Watched<'_, O>) {
        let asked = self.all.iter().filter(|compiled| compiled.asked > 0);
        asked.for_each(|compiled| watched.evaluated(Point::Filter, compiled.place, compiled.asked));
    }

    /// Asks all filters.
    pub(crate) fn check<O>(&mut self, node: NodeView<'_>, watched: &mut Watched<'_, O>) -> Result<(), Refusal>
    where
        O: Observer + ?Sized,
    {
        self.all.iter_mut().try_for_each(|compiled| compiled.ask(node, watched))
    }

    /// Asks the filters that look at nothing but the node.
    pub(crate) fn check_node_alone<O>(
        &mut self,
        node: NodeView<'_>,
        watched: &mut Watched<'_, O>,
    ) -> Result<(), Refusal>
    where
        O: Observer + ?Sized,
    {
        let mut alone = self.all.iter_mut().filter(|compiled| compiled.reach == Reach::Node);
        alone.try_for_each(|compiled| compiled.ask(node, watched))
    }

    /// The verdict of all filters when that of those that look at nothing but the node is known.
    #[inline]
    pub(crate) fn complete<O>(
        &mut self,
        node: NodeView<'_>,
        alone: &Result<(), Refusal>,
        watched: &mut Watched<'_, O>,
    ) -> Result<(), Refusal>
    where
        O: Observer + ?Sized,
    {
        if self.wide.is_empty() {
            return alone.clone();
        }
        let refusing = alone.as_ref().err().map(|(plugin, _)| *plugin);
        let place = |name| self.all.iter().position(|compiled| compiled.plugin == name);
        let before = refusing.and_then(place).unwrap_or(usize::MAX);
        for place in self.wide.iter().take_while(|place| **place < before) {
            self.all[*place].ask(node, watched)?;
        }
        alone.clone()
    }
}

/// What a verdict is called in metrics.
pub(super) fn code<T>(verdict: &Result<T, Status>) -> Option<Code> {
    verdict.as_ref().err().map(|status| status.code)
}
