//! What the driver counts, under upstream's names.

mod inside;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use crate::framework::{Code, Verdict};
use crate::queue::{Arrival, QueueSizes};

use inside::Inside;
pub(crate) use inside::{CacheSizes, Call};

/// A label's value; the names of profiles are shared, for there are observations for every pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Word {
    Static(&'static str),
    Shared(Arc<str>),
}

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        match self {
            Self::Static(text) => text.encode(encoder),
            Self::Shared(text) => (&**text).encode(encoder),
        }
    }
}

type Labels<const N: usize> = [(&'static str, Word); N];

fn labels<const N: usize>(labels: [(&'static str, &'static str); N]) -> Labels<N> {
    labels.map(|(name, value)| (name, Word::Static(value)))
}

/// The driver's metrics. Clones count together; [`register`](Metrics::register) makes them visible.
///
/// These are all of upstream's that come from scheduling. Missing are the stable `kube_pod_resource_request` and `…_limit`, which tell about
/// pods, not about the scheduler.
///
/// A decision knows no clock: the driver [observes](crate::framework::Observer) it. As upstream has it, plugins inside
/// decisions are timed for every tenth pod. The time to compile a filter counts as PreFilter, that to compile a score as PreScore. Nodes whose
/// verdict is known from the pod before are not timed, nor are the filters that preemption tries out; neither counts as an evaluation.
/// Queueing hints are timed one in ten.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    profiles: RwLock<Vec<Arc<str>>>,
    attempts: Family<Labels<2>, Counter>,
    attempt_duration: Family<Labels<2>, Histogram>,
    algorithm_duration: Histogram,
    pod_duration: Family<Labels<1>, Histogram>,
    pod_attempts: Histogram,
    pending: Family<Labels<1>, Gauge>,
    incoming: Family<Labels<2>, Counter>,
    point_duration: Family<Labels<3>, Histogram>,
    plugin_duration: Family<Labels<3>, Histogram>,
    permit_wait: Family<Labels<1>, Histogram>,
    preemption_attempts: Counter,
    preemption_victims: Histogram,
    tasks: Family<Labels<1>, Gauge>,
    inside: Inside,
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

impl Default for Families {
    fn default() -> Self {
        Self {
            profiles: RwLock::default(),
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
            inside: Inside::default(),
        }
    }
}

impl Metrics {
    /// Adds everything to a registry. Counters get the suffix `_total` when they are encoded.
    pub fn register(&self, registry: &mut Registry) {
        let (registry, all) = (registry.sub_registry_with_prefix("scheduler"), &*self.0);
        let mut add = Adder(registry);
        add.add("schedule_attempts", "Attempts to schedule pods, by result", &all.attempts);
        add.add(
            "scheduling_attempt_duration_seconds",
            "Latency of an attempt, with its binding",
            &all.attempt_duration,
        );
        add.add("scheduling_algorithm_duration_seconds", "Latency of a decision", &all.algorithm_duration);
        add.add(
            "pod_scheduling_sli_duration_seconds",
            "From a pod's entry into the queue to its binding, over all attempts",
            &all.pod_duration,
        );
        add.add("pod_scheduling_attempts", "Attempts that successful pods took", &all.pod_attempts);
        add.add("pending_pods", "Pending pods, by queue", &all.pending);
        add.add("queue_incoming_pods", "Pods added to the queues, by event and queue", &all.incoming);
        add.add(
            "framework_extension_point_duration_seconds",
            "Latency of all plugins of an extension point",
            &all.point_duration,
        );
        add.add(
            "plugin_execution_duration_seconds",
            "Latency of a plugin at an extension point",
            &all.plugin_duration,
        );
        add.add("permit_wait_duration_seconds", "Waiting on permit", &all.permit_wait);
        add.add("preemption_attempts", "Preemptions attempted", &all.preemption_attempts);
        add.add("preemption_victims", "Victims of a preemption", &all.preemption_victims);
        add.add("goroutines", "Tasks under way, by what they do", &all.tasks);
        all.inside.register(&mut add);
    }

    /// The name of a profile as a label; there are few of them.
    fn profile(&self, name: &str) -> Word {
        let find = |names: &[Arc<str>]| names.iter().find(|known| ***known == *name).cloned();
        if let Some(known) = find(&self.0.profiles.read()) {
            return Word::Shared(known);
        }
        let new: Arc<str> = name.into();
        self.0.profiles.write().push(Arc::clone(&new));
        Word::Shared(new)
    }

    pub(crate) fn attempted(&self, result: Attempt, profile: &str, took: Duration) {
        let labels = [("result", Word::Static(result.as_str())), ("profile", self.profile(profile))];
        self.0.attempts.get_or_create(&labels).inc();
        self.0.attempt_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn decided(&self, took: Duration) {
        self.0.algorithm_duration.observe(took.as_secs_f64());
    }

    /// A pod is bound, after so many attempts and so long after it entered the queue.
    pub(crate) fn bound(&self, attempts: u32, took: Duration) {
        let number = usize::try_from(attempts).ok().and_then(|number| ATTEMPTS.get(number)).unwrap_or(&"16+");
        let labels = labels([("attempts", *number)]);
        self.0.pod_duration.get_or_create(&labels).observe(took.as_secs_f64());
        self.0.pod_attempts.observe(attempts.into());
    }

    pub(crate) fn pending(&self, sizes: QueueSizes) {
        let queues = [
            ("active", sizes.active),
            ("backoff", sizes.backoff),
            ("unschedulable", sizes.unschedulable),
            ("gated", sizes.gated),
        ];
        for (queue, size) in queues {
            let gauge = self.0.pending.get_or_create(&labels([("queue", queue)]));
            gauge.set(i64::try_from(size).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn incoming(&self, arrival: Arrival, number: u64) {
        let labels = labels([("event", arrival.cause), ("queue", arrival.queue)]);
        self.0.incoming.get_or_create(&labels).inc_by(number);
    }

    pub(crate) fn point(&self, point: &'static str, status: &'static str, profile: &str, took: Duration) {
        let labels = [
            ("extension_point", Word::Static(point)),
            ("status", Word::Static(status)),
            ("profile", self.profile(profile)),
        ];
        self.0.point_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn plugin(
        &self,
        plugin: &'static str,
        point: &'static str,
        status: &'static str,
        took: Duration,
    ) {
        let labels = labels([("plugin", plugin), ("extension_point", point), ("status", status)]);
        self.0.plugin_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn permitted(&self, success: bool, took: Duration) {
        let status = if success { SUCCESS } else { status(Some(Code::Unschedulable)) };
        self.0.permit_wait.get_or_create(&labels([("result", status)])).observe(took.as_secs_f64());
    }

    pub(crate) fn preempted(&self, victims: usize) {
        self.0.preemption_attempts.inc();
        if victims > 0 {
            self.0.preemption_victims.observe(victims as f64);
        }
    }

    pub(crate) fn bindings(&self, number: usize) {
        let gauge = self.0.tasks.get_or_create(&labels([("operation", "binding")]));
        gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
    }
}

struct Adder<'a>(&'a mut Registry);

impl Adder<'_> {
    fn add(&mut self, name: &str, help: &str, metric: &(impl Metric + Clone)) {
        self.0.register(name, help, metric.clone());
    }
}

/// Numbers of attempts as labels.
const ATTEMPTS: [&str; 16] =
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"];

/// The status of a yes.
pub(crate) const SUCCESS: &str = "Success";
/// The status of a permission that a pod has to wait for.
pub(crate) const WAIT: &str = "Wait";
/// The status of a failure.
pub(crate) const ERROR: &str = "Error";

/// What upstream calls a verdict.
pub(crate) fn status(verdict: Verdict) -> &'static str {
    match verdict {
        None => SUCCESS,
        Some(Code::Unschedulable) => "Unschedulable",
        Some(Code::Unresolvable) => "UnschedulableAndUnresolvable",
        Some(Code::Pending) => "Pending",
        Some(Code::Error) => ERROR,
    }
}
