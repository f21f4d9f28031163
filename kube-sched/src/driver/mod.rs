//! The thin part: watches feed the core, the core's commands go to the API server.

mod bind;
mod consult;
mod core;
mod evictions;
mod feeds;
mod handling;
mod outbox;
mod reflector;
mod report;
mod run;
mod series;
mod timer;
mod waiting;
mod watched;

pub use run::Scheduler;
pub use waiting::{WaitingPod, WaitingPods};
