//! Upstream's alpha metrics about what goes on inside: what is kept, who keeps pods waiting, and what events and requests cost.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::{Adder, Labels, Metrics, Word, from_a_millisecond, labels, plugin, pod_lifetime, point};
use crate::framework::{Hint, Point};

#[derive(Debug)]
pub(super) struct Inside {
    cache: Family<Labels<1>, Gauge>,
    unschedulable: Family<Labels<2>, Gauge>,
    evaluations: Family<Labels<3>, Counter>,
    handling: Family<Labels<1>, Histogram>,
    in_flight: Family<Labels<1>, Gauge>,
    hints: Family<Labels<3>, Histogram>,
    preemption_duration: Family<Labels<1>, Histogram>,
    preemptions: Family<Labels<1>, Counter>,
    call_duration: Family<Labels<2>, Histogram>,
    calls: Family<Labels<2>, Counter>,
    pending_calls: Family<Labels<1>, Gauge>,
}

/// A request to the API server for which scheduling does not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    StatusPatch,
    Binding,
}

impl Call {
    fn as_str(self) -> &'static str {
        match self {
            Self::StatusPatch => "pod_status_patch",
            Self::Binding => "pod_binding",
        }
    }
}

/// How many objects the scheduler knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CacheSizes {
    pub(crate) nodes: usize,
    pub(crate) pods: usize,
    pub(crate) assumed: usize,
}

impl Default for Inside {
    fn default() -> Self {
        Self {
            cache: Family::default(),
            unschedulable: Family::default(),
            evaluations: Family::default(),
            handling: Family::new_with_constructor(point),
            in_flight: Family::default(),
            hints: Family::new_with_constructor(plugin),
            preemption_duration: Family::new_with_constructor(pod_lifetime),
            preemptions: Family::default(),
            call_duration: Family::new_with_constructor(from_a_millisecond),
            calls: Family::default(),
            pending_calls: Family::default(),
        }
    }
}

impl Inside {
    pub(super) fn register(&self, add: &mut Adder<'_>) {
        add.add("cache_size", "Nodes, pods, and assumed pods in the scheduler's cache", &self.cache);
        let help =
            "Unschedulable pods, by the plugins that refused them; a pod counts for each of its plugins";
        add.add("unschedulable_pods", help, &self.unschedulable);
        let help = "Evaluations by each plugin in PreFilter, Filter, PreScore and Score";
        add.add("plugin_evaluation", help, &self.evaluations);
        add.add("event_handling_duration_seconds", "Latency of handling an event", &self.handling);
        let help = "Events that the queue keeps while pods are being scheduled";
        add.add("inflight_events", help, &self.in_flight);
        let help = "Latency of a plugin's queueing hint";
        add.add("queueing_hint_execution_duration_seconds", help, &self.hints);
        let help = "From the decision to preempt until all victims go";
        add.add("preemption_goroutines_duration_seconds", help, &self.preemption_duration);
        add.add("preemption_goroutines_execution", "Preemptions carried out", &self.preemptions);
        let help = "Latency of a request that scheduling does not wait for";
        add.add("async_api_call_execution_duration_seconds", help, &self.call_duration);
        let help = "Requests that scheduling does not wait for";
        add.add("async_api_call_execution", help, &self.calls);
        add.add("pending_async_api_calls", "Such requests that have not been sent yet", &self.pending_calls);
    }
}

fn result(success: bool) -> &'static str {
    if success { "success" } else { "error" }
}

fn set(gauges: &Family<Labels<1>, Gauge>, label: [(&'static str, &'static str); 1], value: usize) {
    gauges.get_or_create(&labels(label)).set(i64::try_from(value).unwrap_or(i64::MAX));
}

impl Metrics {
    pub(crate) fn cached(&self, sizes: CacheSizes) {
        let kinds = [("nodes", sizes.nodes), ("pods", sizes.pods), ("assumed_pods", sizes.assumed)];
        for (kind, size) in kinds {
            set(&self.0.inside.cache, [("type", kind)], size);
        }
    }

    pub(crate) fn unschedulable(&self, plugin: &'static str, profile: &str, pods: usize) {
        let labels = [("plugin", Word::Static(plugin)), ("profile", self.profile(profile))];
        let gauge = self.0.inside.unschedulable.get_or_create(&labels);
        gauge.set(i64::try_from(pods).unwrap_or(i64::MAX));
    }

    /// Where the evaluations of a plugin at a point are counted.
    pub(crate) fn evaluations(&self, plugin: &'static str, point: Point, profile: &str) -> Counter {
        let labels = [
            ("plugin", Word::Static(plugin)),
            ("extension_point", Word::Static(point.as_str())),
            ("profile", self.profile(profile)),
        ];
        self.0.inside.evaluations.get_or_create(&labels).clone()
    }

    /// Where it is noted how long events of this name took.
    pub(crate) fn handling(&self, event: &'static str) -> Histogram {
        self.0.inside.handling.get_or_create(&labels([("event", event)])).clone()
    }

    pub(crate) fn in_flight(&self, event: &'static str, number: usize) {
        set(&self.0.inside.in_flight, [("event", event)], number);
    }

    pub(crate) fn hinted(&self, plugin: &'static str, event: &'static str, hint: Hint, took: Duration) {
        let hint = match hint {
            Hint::Queue => "Queue",
            Hint::Skip => "QueueSkip",
        };
        let labels = labels([("plugin", plugin), ("event", event), ("hint", hint)]);
        self.0.inside.hints.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// All victims of a preemption go, or one of them does not.
    pub(crate) fn made_room(&self, success: bool, took: Duration) {
        let labels = labels([("result", result(success))]);
        self.0.inside.preemptions.get_or_create(&labels).inc();
        self.0.inside.preemption_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn called(&self, call: Call, success: bool, took: Duration) {
        let labels = labels([("call_type", call.as_str()), ("result", result(success))]);
        self.0.inside.calls.get_or_create(&labels).inc();
        self.0.inside.call_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn pending_calls(&self, call: Call, number: usize) {
        set(&self.0.inside.pending_calls, [("call_type", call.as_str())], number);
    }
}
