//! The Kubernetes node agent: pod workers over runtime, network and storage seams.

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
mod logs;
pub mod network;
mod node;
mod objects;
mod pod;
mod probe;
pub mod runtime;
pub mod seam;
pub mod server;
pub mod shim;
mod volumes;
mod worker;

pub use agent::Agent;
pub use clock::Clock;
pub use config::{Capacity, Config, Files};
pub use error::{Error, Result};
pub use server::KubeletServer;
