//! Integration tests: scripted plugins, and Debian's plugins in a network namespace.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod root_plugins;
mod scripted;
