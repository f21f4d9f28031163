//! Members that reach each other over gRPC, with or without TLS (features `raft` and `server`).
//!
//! Frames go one way each over a connection that the sender makes; parts of snapshots have a connection of their own, so that
//! a large state holds up no heartbeat. What cannot be sent soon is dropped: members repeat what matters.

mod dial;
mod founding;
mod r#gen;
mod lane;
mod metrics;
mod network;
mod service;
#[cfg(test)]
mod tests;

pub use self::dial::PeerTls;
pub use self::founding::{ask_for_members, found};
pub use self::metrics::PeerMetrics;
pub use self::network::{PeerConfig, PeerNetwork};
pub use self::service::PeerServer;

/// Metadata that names the sender's group.
const GROUP: &str = "group";
/// Metadata that names the sender.
const MEMBER: &str = "member";
/// What a removed member is told.
const REMOVED: &str = "the member has been removed from the group";
/// Largest batch that is taken: a whole message of the log, and what goes along.
const MAX_BATCH: usize = 64 << 20;
