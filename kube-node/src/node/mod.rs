//! The Node object: registration, status, Lease.

mod heartbeat;
mod machine;
mod object;
mod pressure;
#[cfg(test)]
mod tests;

pub(crate) use heartbeat::Heartbeat;
pub(crate) use machine::{Left, Machine, disk_left};
pub(crate) use object::{allocatable, allocatable_amounts, labels};
pub use pressure::EvictionHard;
