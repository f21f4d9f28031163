//! What the binaries share: the demo program, progress on the terminal, and the wiring of each role.
//!
//! Nothing here decides anything about a cluster; that is in the crates. This is where versions are picked, flags are read and
//! a log subscriber is installed.

pub mod demo;
