//! What the `raft` crate logs, in this process's traces.

use slog::{Drain, Level, Logger, Never, OwnedKVList, Record};

/// A logger that hands everything to `tracing`.
pub(super) fn logger() -> Logger {
    Logger::root(Traces, slog::o!())
}

struct Traces;

impl Drain for Traces {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        // Its warnings and infos are about ordinary elections.
        match record.level() {
            Level::Critical | Level::Error => tracing::error!(target: "raft", "{}", record.msg()),
            Level::Warning | Level::Info => tracing::debug!(target: "raft", "{}", record.msg()),
            Level::Debug | Level::Trace => tracing::trace!(target: "raft", "{}", record.msg()),
        }
        Ok(())
    }
}
