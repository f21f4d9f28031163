//! Holds a clock to decisions.

use tokio::time::Instant;

use super::handling::Evaluations;
use crate::framework::{Observer, Point, Verdict};
use crate::metrics::{Metrics, status};

/// The plugins are timed in one of so many decisions: reading the clock twice for each node would cost more than some of them.
const SAMPLE: u64 = 10;

/// Which decisions are timed how closely.
#[derive(Debug, Default)]
pub(super) struct Sampling {
    decisions: u64,
}

impl Sampling {
    /// A timer for the next decision.
    pub(super) fn timer<'a>(
        &mut self,
        metrics: &'a Metrics,
        profile: &'a str,
        evaluations: &'a Evaluations,
    ) -> Timer<'a> {
        let plugins = self.decisions.is_multiple_of(SAMPLE);
        self.decisions += 1;
        let now = Instant::now();
        Timer { metrics, profile, evaluations, plugins, point: now, plugin: now }
    }
}

/// Times one decision.
#[derive(Debug)]
pub(super) struct Timer<'a> {
    metrics: &'a Metrics,
    profile: &'a str,
    evaluations: &'a Evaluations,
    plugins: bool,
    /// When the point began that is under way.
    point: Instant,
    /// When the plugin began that is under way.
    plugin: Instant,
}

impl Observer for Timer<'_> {
    fn hears_plugins(&self) -> bool {
        self.plugins
    }

    fn point_begins(&mut self, _: Point) {
        self.point = Instant::now();
    }

    fn point_ends(&mut self, point: Point, verdict: Verdict) {
        self.metrics.point(point.as_str(), status(verdict), self.profile, self.point.elapsed());
    }

    fn evaluated(&mut self, point: Point, place: usize, times: usize) {
        self.evaluations.count(point, place, times);
    }

    fn plugin_begins(&mut self, _: Point, _: &'static str) {
        self.plugin = Instant::now();
    }

    fn plugin_ends(&mut self, point: Point, plugin: &'static str, verdict: Verdict) {
        self.metrics.plugin(plugin, point.as_str(), status(verdict), self.plugin.elapsed());
    }
}
