//! How containers of an image behave.

use std::{collections::BTreeMap, time::Duration};

use crate::seam::ExecOutput;

/// What containers of an image do; `Default` runs until stopped and ends with code 0 at once when told to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// How long it runs; `None`: until it is stopped.
    pub run_for: Option<Duration>,
    /// Its exit code.
    pub exit_code: i32,
    /// Whether its end counts as killed for memory.
    pub oom_killed: bool,
    /// How long it takes to react to the stop signal; longer than the grace means exit code 137.
    pub stop_takes: Duration,
    /// Lines on standard output right after the start.
    pub logs: Vec<String>,
    /// Makes `start_container` fail with this text.
    pub start_error: Option<String>,
    /// Makes `pull` fail with this text.
    pub pull_error: Option<String>,
    /// What commands answer that are executed in it.
    pub exec: ExecOutput,
    /// What these commands answer instead.
    pub commands: BTreeMap<Vec<String>, Command>,
}

/// What a command does that is executed in a container: it prints its output, takes its time, sends its input back until that ends, and exits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// What it prints, and its exit code.
    pub output: ExecOutput,
    /// How long it takes.
    pub takes: Duration,
}

impl Script {
    pub(super) fn command(&self, words: &[String]) -> Command {
        let other = || Command { output: self.exec.clone(), takes: Duration::ZERO };
        self.commands.get(words).cloned().unwrap_or_else(other)
    }
}
