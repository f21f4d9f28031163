//! Kubernetes controllers as pure plans, with one runner around them.
//!
//! A controller here is three functions: what to observe for a key, what to do about it (pure), and what to report
//! afterwards (pure). Everything else — shared caches, the queue with back-off, carrying out actions, events, leader
//! election — is one runner used by all. The cluster is reached only through a [`kube::Client`], so the controllers
//! also work against a stock Kubernetes API server.
//!
//! This crate does not serve an API, schedule pods or run them; it opens no socket, reads no environment and
//! installs no subscriber. Time is tokio's clock and randomness a seed, so that a test can pass a day in a second.
//!
//! ```
//! use kube_ctrl::{Config, ControllerManager};
//! use tokio_util::sync::CancellationToken;
//!
//! async fn run(client: kube::Client, shutdown: CancellationToken) -> kube_ctrl::Result<()> {
//!     let config = Config { controllers: vec!["*".into(), "-node-ipam-controller".into()], ..Config::default() };
//!     let manager = ControllerManager::new(client, config);
//!     let mut ready = manager.ready();
//!     tokio::spawn(async move {
//!         if ready.wait_for(|ready| *ready).await.is_ok() {
//!             tracing::info!("controllers are working");
//!         }
//!     });
//!     manager.run(shutdown).await
//! }
//! # let _ = run;
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`runner`] | the trait, the caches, the queue, the actions: enough to write a controller of one's own |
//! | [`leader`] | leader election by Lease, for any program |
//! | [`namespace`], [`serviceaccount`] | namespaces: what every one has, and taking one apart |
//! | [`replicaset`], [`deployment`] | workloads |
//! | [`resourceclaim`] | pods' claims for devices |
//! | [`endpointslice`], [`endpoints`] | which pods stand behind a service |
//! | [`nodeipam`], [`nodelifecycle`], [`tainteviction`] | nodes: their networks, their heartbeats, and what happens to pods of failing ones |
//! | [`garbagecollector`], [`podgc`] | deleting what nobody wants any more |

pub mod deployment;
pub mod endpoints;
pub mod endpointslice;
pub mod garbagecollector;
pub mod leader;
pub mod namespace;
pub mod nodeipam;
pub mod nodelifecycle;
pub mod podgc;
pub mod replicaset;
pub mod resourceclaim;
pub mod runner;
pub mod serviceaccount;
pub mod tainteviction;

mod backends;
mod claim;
mod clock;
mod config;
mod controllers;
mod discovery;
mod error;
mod manager;
mod pods;

pub use clock::Clock;
pub use config::{CONTROLLERS, Config};
pub use error::{Error, Result};
pub use manager::ControllerManager;
