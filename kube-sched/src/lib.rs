//! The Kubernetes scheduler as a pure function, with a thin driver around it.
//!
//! [`schedule`](schedule()) takes a [`Snapshot`] of a cluster, a pod, a [`Profile`](framework::Profile) of plugins and a seeded generator and
//! returns a [`Decision`] that explains itself. There is no I/O, clock or client inside, so it can be embedded in autoscalers,
//! simulators and tests. [`Scheduler`] is the drop-in kube-scheduler: it feeds the same function from watches and binds
//! pods through a [`kube::Client`].
//!
//! [`Settings`] reads a `KubeSchedulerConfiguration`. It does not elect a leader, serve HTTP or read files; the caller does. It never talks to nodes or to the store.
//!
//! # Why is this pod pending?
//! After `cargo add kube-sched fastrand serde_json` and `cargo add k8s-openapi --features v1_35` this is a whole program:
//! ```
//! use k8s_openapi::api::core::v1::{Node, Pod};
//! use kube_sched::{PodInfo, Snapshot, framework::Profile, schedule};
//! use serde_json::{from_value, json};
//!
//! fn node(name: &str, cpu: &str) -> Result<Node, serde_json::Error> {
//!     from_value(json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "memory": "4Gi", "pods": "110"}}}))
//! }
//!
//! fn pod(name: &str, cpu: &str) -> Result<Pod, serde_json::Error> {
//!     let container = json!({"name": "c", "resources": {"requests": {"cpu": cpu}}});
//!     from_value(json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [container]}}))
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut snapshot = Snapshot::from_objects(&[node("small", "1")?, node("large", "4")?], &[])?;
//!     let (profile, mut rng) = (Profile::default(), fastrand::Rng::with_seed(1));
//!
//!     let fits = PodInfo::parse(pod("fits", "3")?)?;
//!     let chosen = schedule(&snapshot, &fits, &profile, &mut rng).node().cloned().ok_or("it fits")?;
//!     assert_eq!(&*chosen, "large");
//!     snapshot.assume(&fits, &chosen);
//!
//!     let decision = schedule(&snapshot, &PodInfo::parse(pod("pending", "2")?)?, &profile, &mut rng);
//!     assert_eq!(decision.node(), None);
//!     assert!(decision.message().starts_with("0/2 nodes are available: 2 Insufficient cpu."));
//!     Ok(())
//! }
//! ```
//!
//! # Memory
//! A snapshot holds 1.1 KB for each node with two labels. A pod is 0.6 KB if it is like others of its workload, of whom it has but a
//! [template](PodTemplate) then, and 6 KB if it is like no other. A whole process, the `kube-scheduler` among this workspace's
//! examples, takes 52 MiB resident with 5,000 nodes and 11,000 pods, right after it has bound 10,000 of them: 12 MiB are the
//! program, and about as much are the connections that bindings were made over, [`Config::max_bindings`] at a time.
//!
//! # Differences to upstream
//! Decisions, scores and messages were compared with kube-scheduler v1.35 on random clusters (`sim sched-peer`). These differences
//! are meant, or are left since they take states that only hands make:
//! - A pod that names one resource claim twice is placed; upstream allocates devices twice, and its binding fails for ever.
//! - Where two pods use one `ReadWriteOncePod` claim, upstream takes it for free as soon as one of them would be evicted.
//! - A selector of devices that fails while victims are looked for is one reason among others; upstream gives up the preemption. Where a
//!   node has too few devices left to meet a request, none of them is held against a selector, so that it cannot fail there.
//! - Of victims that have not started those that were placed last are the first to go; upstream's order is then by chance.
//! - Errors of a configuration begin with `invalid configuration` or `cannot decode a document`, and those of arguments name their path in
//!   the document where upstream names the plugin that could not be made. A negative weight is accepted.
//!
//! # Modules
//! - [`framework`]: the extension points, the registry of plugins and profiles
//! - [`plugins`]: the built-in plugins
//! - [`snapshot`]: the cluster as a structure of arrays, forked in O(1)
//! - [`mod@schedule`]: the decision
//! - [`queue`]: the pods that wait
//! - [`resources`]: quantities and requests as integers
//! - [`selector`]: node selectors, label selectors and tolerations
//! - [`terms`]: what pods demand of the pods around them
//! - `testing` (feature of that name): small objects for tests, and the workloads of upstream's scheduler_perf

mod clock;
mod complaint;
mod config;
mod driver;
mod error;
mod extender;
pub mod framework;
mod metrics;
mod node;
mod phase;
pub mod plugins;
mod pod;
pub mod queue;
mod request;
pub mod resources;
pub mod schedule;
pub mod selector;
mod shared;
pub mod snapshot;
pub mod terms;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use clock::Clock;
pub use complaint::Complaint;
pub use config::{ClientConnection, Config, LeaderElection, Settings};
pub use driver::{Scheduler, WaitingPod, WaitingPods};
pub use error::Error;
pub use extender::{Extender, ExtenderConfig, ExtenderTls};
pub use metrics::Metrics;
pub use node::NodeInfo;
pub use phase::Phase;
pub use pod::{HostPort, PodInfo};
pub use schedule::{Decision, Outcome, Reuse, schedule};
pub use shared::PodTemplate;
pub use snapshot::{NodeId, Snapshot};
