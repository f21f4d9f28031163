//! Watching a decision while it is being made.

use super::Code;

/// An extension point inside a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// The pod is judged as a whole, and filters are compiled for it.
    PreFilter,
    /// Nodes are judged.
    Filter,
    /// A way out is looked for.
    PostFilter,
    /// Scores are compiled for the pod.
    PreScore,
    /// Feasible nodes are scored.
    Score,
    /// Scores are brought into their range.
    NormalizeScore,
}

impl Point {
    /// What upstream's metrics call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreFilter => "PreFilter",
            Self::Filter => "Filter",
            Self::PostFilter => "PostFilter",
            Self::PreScore => "PreScore",
            Self::Score => "Score",
            Self::NormalizeScore => "ScoreExtensionNormalize",
        }
    }
}

/// How a point or plugin ended; `None` is a yes.
pub type Verdict = Option<Code>;

/// Hears where a decision is, so that others can hold a clock to it: a decision knows none, and nothing that an observer does
/// changes it. `()` hears nothing and costs nothing.
///
/// A point begins and ends, and within it plugins do, one after the other. A filter begins and ends for each node
/// that it is asked about; verdicts that are known from an earlier pod are not asked for.
pub trait Observer {
    /// Whether plugins are to be told of; asked once for each decision.
    fn hears_plugins(&self) -> bool {
        false
    }

    /// An extension point begins.
    fn point_begins(&mut self, point: Point) {
        let _ = point;
    }

    /// It is over.
    fn point_ends(&mut self, point: Point, verdict: Verdict) {
        let _ = (point, verdict);
    }

    /// The plugin at this place of the profile has been evaluated so many times: once in PreFilter and PreScore if it has something
    /// to say about the pod, in Filter and Score once for each node that it was asked about. Told in every decision, whether it
    /// [hears plugins](Self::hears_plugins) or not.
    fn evaluated(&mut self, point: Point, place: usize, times: usize) {
        let _ = (point, place, times);
    }

    /// A plugin begins.
    fn plugin_begins(&mut self, point: Point, plugin: &'static str) {
        let _ = (point, plugin);
    }

    /// It is done.
    fn plugin_ends(&mut self, point: Point, plugin: &'static str, verdict: Verdict) {
        let _ = (point, plugin, verdict);
    }
}

impl Observer for () {}

/// An observer, and whether it hears of plugins.
pub(crate) struct Watched<'o, O: ?Sized> {
    observer: &'o mut O,
    plugins: bool,
}

impl<'o, O: Observer + ?Sized> Watched<'o, O> {
    pub(crate) fn new(observer: &'o mut O) -> Self {
        Self { plugins: observer.hears_plugins(), observer }
    }

    /// Does what an extension point has to do.
    pub(crate) fn point<T>(
        &mut self,
        point: Point,
        work: impl FnOnce(&mut Self) -> T,
        verdict: impl FnOnce(&T) -> Verdict,
    ) -> T {
        self.observer.point_begins(point);
        let done = work(self);
        self.observer.point_ends(point, verdict(&done));
        done
    }

    /// Tells of evaluations.
    #[inline]
    pub(crate) fn evaluated(&mut self, point: Point, place: usize, times: usize) {
        self.observer.evaluated(point, place, times);
    }

    /// Asks a plugin.
    #[inline]
    pub(crate) fn plugin<T>(
        &mut self,
        point: Point,
        plugin: &'static str,
        work: impl FnOnce() -> T,
        verdict: impl FnOnce(&T) -> Verdict,
    ) -> T {
        if !self.plugins {
            return work();
        }
        self.observer.plugin_begins(point, plugin);
        let done = work();
        self.observer.plugin_ends(point, plugin, verdict(&done));
        done
    }
}
