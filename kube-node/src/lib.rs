//! The Kubernetes node agent: it runs the pods that an API server gives to one node, over seams for runtime, network and storage.
//!
//! It decides no placement, programs no Services and keeps no state of its own: what runs is what the runtime lists, what should run is what the
//! API server says, and both are looked at again after every start. It speaks to the cluster only through the [`kube::Client`] it is handed, and it
//! owns no listener, no subscriber and no signal handler: those are the caller's.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
//! use kube::{Api, api::PostParams};
//! use kube_api::{ApiServer, User};
//! use kube_node::{Agent, Clock, Config, Files, runtime::fake::FakeRuntime};
//! use tokio_util::sync::CancellationToken;
//!
//! let server = ApiServer::builder(Arc::new(kube_store::MemoryStore::new())).build().await?;
//! let client = kube::Client::new(server.as_user(User::admin()), "default");
//!
//! let clock = Clock::system();
//! let runtime = FakeRuntime::new(clock, vec!["10.1.0.0/24".parse()?]);
//! let config = Config { node_name: "n1".into(), files: Files::Skip, ..Config::default() };
//! let agent = Agent::new(client.clone(), Arc::new(runtime), Vec::new(), clock, config)?;
//! let (mut ready, shutdown) = (agent.ready(), CancellationToken::new());
//! let running = tokio::spawn(agent.run(shutdown.clone()));
//! ready.wait_for(|ready| *ready).await?;
//!
//! // With controllers in the cluster they make it.
//! let account = serde_json::from_value(serde_json::json!({"metadata": {"name": "default"}}))?;
//! Api::<ServiceAccount>::default_namespaced(client.clone()).create(&PostParams::default(), &account).await?;
//! let pods = Api::<Pod>::default_namespaced(client);
//! let pod = serde_json::from_value(serde_json::json!({
//!     "metadata": {"name": "web"},
//!     "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "busybox"}]},
//! }))?;
//! pods.create(&PostParams::default(), &pod).await?;
//! let is_running = |pod: Option<&Pod>| {
//!     pod.and_then(|pod| pod.status.as_ref()).is_some_and(|status| status.phase.as_deref() == Some("Running"))
//! };
//! kube::runtime::wait::await_condition(pods, "web", is_running).await?;
//!
//! shutdown.cancel();
//! running.await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! - [`Agent`] is the whole of it, [`Config`] its settings ([`EvictionHard`] among them), [`Clock`] its time, [`Error`] what can go wrong; [`KubeletServer`] ([`server`])
//!   serves logs and commands to the API server.
//! - [`seam`] has the traits and their plain values: [`seam::Runtime`], [`seam::ImageService`], [`seam::NetworkPlugin`], [`seam::StoragePlugin`].
//! - [`runtime`] implements the first two without anybody else: [`runtime::embedded`] with supervisors ([`shim`]), [`image`]s and the routed
//!   [`network`]; [`runtime::fake`] runs nothing. [`adapter`] implements them over others: [`adapter::cri`] for containerd and CRI-O.
//! - `agent` hands pods, the API server's and static ones, to workers; `worker` looks, asks and acts for one pod; `pod` holds what it asks: decisions as functions from values to values.
//! - `volumes`, `env`, `dns` and `objects` prepare what containers find; `probe` watches over them; [`log`] reads what they print.
//! - `testing` (feature): what every implementation of a seam has to pass, with a network and a driver in memory.
//! - `node` keeps the Node object and its Lease; `events` tells `kubectl describe`.

pub mod adapter;
mod agent;
mod clock;
mod config;
mod dns;
mod env;
mod error;
mod events;
pub mod image;
pub mod log;
pub mod network;
mod node;
mod objects;
mod pod;
mod probe;
pub mod runtime;
pub mod seam;
pub mod server;
pub mod shim;
#[cfg(feature = "testing")]
pub mod testing;
mod volumes;
mod worker;

pub use agent::Agent;
pub use clock::Clock;
pub use config::{Capacity, Config, Files};
pub use error::{Error, Result};
pub use node::EvictionHard;
pub use server::KubeletServer;
