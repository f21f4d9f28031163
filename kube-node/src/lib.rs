//! The Kubernetes node agent: pod workers over runtime, network and storage seams.

mod clock;
mod error;
pub mod image;
pub mod network;
pub mod runtime;
pub mod seam;
pub mod shim;

pub use clock::Clock;
pub use error::{Error, Result};
