//! A runtime that runs nothing: containers "run" at once and for ever, or as a [`Script`] says. For tests, for hollow nodes and for machines without root.
//!
//! It keeps a few hundred bytes per container, writes no file unless a script gives log lines, and gives addresses out of the node's pod range.

mod images;
mod runtime;
mod script;
mod session;
mod state;

pub use runtime::FakeRuntime;
pub use script::{Command, Script};
