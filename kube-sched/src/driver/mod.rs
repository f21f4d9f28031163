//! The thin part: informers feed the core, the core's commands go to the API server.

mod bind;
mod core;
mod feeds;
mod informer;
mod outbox;
mod report;
mod run;
mod series;
mod waiting;
mod watched;

pub use run::Scheduler;
pub use waiting::{WaitingPod, WaitingPods};
