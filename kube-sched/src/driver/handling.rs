//! Noting how long events take, and how often plugins are evaluated.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;

use crate::framework::{Point, Profile};
use crate::metrics::Metrics;

/// The latencies of events by name; there are few, and looking one up in the metrics takes longer than noting it.
#[derive(Debug, Default)]
pub(super) struct Handling(Vec<(&'static str, Histogram)>);

impl Handling {
    /// An event has been handled since `start`.
    pub(super) fn ended(&mut self, metrics: &Metrics, event: &'static str, start: Instant) {
        let took = start.elapsed().as_secs_f64();
        match self.0.iter().find(|(name, _)| *name == event) {
            Some((_, histogram)) => histogram.observe(took),
            None => {
                let histogram = metrics.handling(event);
                histogram.observe(took);
                self.0.push((event, histogram));
            }
        }
    }
}

/// The counters of a profile's plugins by their places.
#[derive(Debug)]
pub(super) struct Evaluations(Vec<Counters>);

#[derive(Debug)]
struct Counters {
    pre_filter: Option<Counter>,
    filter: Option<Counter>,
    pre_score: Option<Counter>,
    score: Option<Counter>,
}

impl Evaluations {
    pub(super) fn new(metrics: &Metrics, profile: &Profile) -> Self {
        let counters = profile.plugins.iter().map(|enabled| {
            let plugin = &enabled.plugin;
            let counter = |takes_part: bool, point| {
                takes_part.then(|| metrics.evaluations(plugin.name(), point, &profile.scheduler_name))
            };
            let filters = plugin.as_filter().is_some();
            let scores = plugin.as_score().is_some() && enabled.weight != 0;
            Counters {
                pre_filter: counter(filters || plugin.as_pre_filter().is_some(), Point::PreFilter),
                filter: counter(filters, Point::Filter),
                pre_score: counter(scores, Point::PreScore),
                score: counter(scores, Point::Score),
            }
        });
        Self(counters.collect())
    }

    pub(super) fn count(&self, point: Point, place: usize, times: usize) {
        let counters = self.0.get(place);
        let counter = counters.and_then(|counters| match point {
            Point::PreFilter => counters.pre_filter.as_ref(),
            Point::Filter => counters.filter.as_ref(),
            Point::PreScore => counters.pre_score.as_ref(),
            Point::Score => counters.score.as_ref(),
            Point::PostFilter | Point::NormalizeScore => None,
        });
        if let Some(counter) = counter {
            counter.inc_by(times as u64);
        }
    }
}
