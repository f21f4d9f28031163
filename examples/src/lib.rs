//! What the binaries share: the demo program, progress on the terminal, and the wiring of each role.
//!
//! Nothing here decides anything about a cluster; that is in the crates. This is where versions are picked, flags are read and
//! a log subscriber is installed.

mod allocator;
pub mod client;
pub mod cluster;
pub mod demo;
pub mod demo_image;
pub mod health;
pub mod machine;
pub mod node_role;
pub mod progress;
pub mod roles;
pub mod served;

pub use allocator::Allocator;

/// Why a binary ends early: for a person to read.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
