//! What the driver counts, under upstream's names.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use crate::queue::{Arrival, QueueSizes};

type Labels = Vec<(&'static str, String)>;

/// The driver's metrics. Clones count together; [`register`](Metrics::register) makes them visible.
///
/// Within a decision nothing is measured, since it knows no clock: durations of extension points exist for those outside of
/// it (Reserve, Permit, PreBind, Bind, PostBind), while `scheduler_scheduling_algorithm_duration_seconds` has the decision.
#[derive(Debug, Clone)]
pub struct Metrics {
    attempts: Family<Labels, Counter>,
    attempt_duration: Family<Labels, Histogram>,
    algorithm_duration: Histogram,
    pod_duration: Family<Labels, Histogram>,
    pod_attempts: Histogram,
    pending: Family<Labels, Gauge>,
    incoming: Family<Labels, Counter>,
    point_duration: Family<Labels, Histogram>,
    plugin_duration: Family<Labels, Histogram>,
    permit_wait: Family<Labels, Histogram>,
    preemption_attempts: Counter,
    preemption_victims: Histogram,
    tasks: Family<Labels, Gauge>,
}

/// How an attempt to schedule a pod ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Scheduled,
    Unschedulable,
    Error,
}

impl Attempt {
    fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Unschedulable => "unschedulable",
            Self::Error => "error",
        }
    }
}

fn from_a_millisecond() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

fn pod_lifetime() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 2.0, 20))
}

fn point() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 12))
}

fn plugin() -> Histogram {
    Histogram::new(exponential_buckets(0.000_01, 1.5, 20))
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            attempts: Family::default(),
            attempt_duration: Family::new_with_constructor(from_a_millisecond),
            algorithm_duration: from_a_millisecond(),
            pod_duration: Family::new_with_constructor(pod_lifetime),
            pod_attempts: Histogram::new(exponential_buckets(1.0, 2.0, 5)),
            pending: Family::default(),
            incoming: Family::default(),
            point_duration: Family::new_with_constructor(point),
            plugin_duration: Family::new_with_constructor(plugin),
            permit_wait: Family::new_with_constructor(from_a_millisecond),
            preemption_attempts: Counter::default(),
            preemption_victims: Histogram::new(exponential_buckets(1.0, 2.0, 7)),
            tasks: Family::default(),
        }
    }
}

impl Metrics {
    /// Adds everything to a registry. Counters get the suffix `_total` when they are encoded.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("scheduler");
        add(registry, "schedule_attempts", "Attempts to schedule pods, by result", &self.attempts);
        add(
            registry,
            "scheduling_attempt_duration_seconds",
            "Latency of an attempt, with its binding",
            &self.attempt_duration,
        );
        add(
            registry,
            "scheduling_algorithm_duration_seconds",
            "Latency of a decision",
            &self.algorithm_duration,
        );
        add(
            registry,
            "pod_scheduling_sli_duration_seconds",
            "From a pod's entry into the queue to its binding, over all attempts",
            &self.pod_duration,
        );
        add(registry, "pod_scheduling_attempts", "Attempts that successful pods took", &self.pod_attempts);
        add(registry, "pending_pods", "Pending pods, by queue", &self.pending);
        add(registry, "queue_incoming_pods", "Pods added to the queues, by event and queue", &self.incoming);
        add(
            registry,
            "framework_extension_point_duration_seconds",
            "Latency of all plugins of an extension point",
            &self.point_duration,
        );
        add(
            registry,
            "plugin_execution_duration_seconds",
            "Latency of a plugin at an extension point",
            &self.plugin_duration,
        );
        add(registry, "permit_wait_duration_seconds", "Waiting on permit", &self.permit_wait);
        add(registry, "preemption_attempts", "Preemptions attempted", &self.preemption_attempts);
        add(registry, "preemption_victims", "Victims of a preemption", &self.preemption_victims);
        add(registry, "goroutines", "Tasks under way, by what they do", &self.tasks);
    }

    pub(crate) fn attempted(&self, result: Attempt, profile: &str, took: Duration) {
        let labels = vec![("result", result.as_str().to_owned()), ("profile", profile.to_owned())];
        self.attempts.get_or_create(&labels).inc();
        self.attempt_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn decided(&self, took: Duration) {
        self.algorithm_duration.observe(took.as_secs_f64());
    }

    /// A pod is bound, after so many attempts and so long after it entered the queue.
    pub(crate) fn bound(&self, attempts: u32, took: Duration) {
        let label = if attempts > 15 { "16+".to_owned() } else { attempts.to_string() };
        self.pod_duration.get_or_create(&vec![("attempts", label)]).observe(took.as_secs_f64());
        self.pod_attempts.observe(attempts.into());
    }

    pub(crate) fn pending(&self, sizes: QueueSizes) {
        let queues = [
            ("active", sizes.active),
            ("backoff", sizes.backoff),
            ("unschedulable", sizes.unschedulable),
            ("gated", sizes.gated),
        ];
        for (queue, size) in queues {
            let gauge = self.pending.get_or_create(&vec![("queue", queue.to_owned())]);
            gauge.set(i64::try_from(size).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn incoming(&self, arrival: Arrival, number: u64) {
        let labels = vec![("event", arrival.cause.to_owned()), ("queue", arrival.queue.to_owned())];
        self.incoming.get_or_create(&labels).inc_by(number);
    }

    pub(crate) fn point(&self, point: &str, success: bool, profile: &str, took: Duration) {
        let labels = vec![
            ("extension_point", point.to_owned()),
            ("status", status(success).to_owned()),
            ("profile", profile.to_owned()),
        ];
        self.point_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn plugin(&self, plugin: &str, point: &str, success: bool, took: Duration) {
        let labels = vec![
            ("plugin", plugin.to_owned()),
            ("extension_point", point.to_owned()),
            ("status", status(success).to_owned()),
        ];
        self.plugin_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn permitted(&self, success: bool, took: Duration) {
        let labels = vec![("result", status(success).to_owned())];
        self.permit_wait.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn preempted(&self, victims: usize) {
        self.preemption_attempts.inc();
        if victims > 0 {
            self.preemption_victims.observe(victims as f64);
        }
    }

    pub(crate) fn bindings(&self, number: usize) {
        let gauge = self.tasks.get_or_create(&vec![("operation", "binding".to_owned())]);
        gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
    }
}

fn add(registry: &mut Registry, name: &str, help: &str, metric: &(impl Metric + Clone)) {
    registry.register(name, help, metric.clone());
}

fn status(success: bool) -> &'static str {
    if success { "Success" } else { "Error" }
}
