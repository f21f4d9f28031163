//! The settings of the embedded runtime.

use std::path::PathBuf;
use std::sync::Arc;

use crate::seam::NetworkPlugin;
use crate::{Clock, Error, Result};

/// Settings of [`EmbeddedRuntime`](super::EmbeddedRuntime).
#[derive(Clone)]
#[non_exhaustive]
pub struct EmbeddedConfig {
    /// Where everything is kept: `images/` (read at start), `layers/`, `sandboxes/`, `run/`. Must be on a filesystem that overlayfs can
    /// use (not itself overlayfs).
    pub data_dir: PathBuf,
    /// The pod network.
    pub network: Arc<dyn NetworkPlugin>,
    /// The program to execute as a pod's supervisor; it must call [`shim::maybe_run`](crate::shim::maybe_run) first. Default:
    /// `/proc/self/exe`, this program.
    pub shim_program: PathBuf,
    /// Arguments before the supervisor's own. Default: none.
    pub shim_args: Vec<String>,
    /// Bytes after which a line of a container's output is split in its log. Default: 16384, as in other runtimes.
    pub log_line_bytes: usize,
    /// The time of day.
    pub clock: Clock,
}

impl std::fmt::Debug for EmbeddedConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedConfig")
            .field("data_dir", &self.data_dir)
            .field("shim_program", &self.shim_program)
            .finish_non_exhaustive()
    }
}

impl EmbeddedConfig {
    /// The defaults.
    #[must_use]
    pub fn new(data_dir: PathBuf, network: Arc<dyn NetworkPlugin>) -> Self {
        Self {
            data_dir,
            network,
            shim_program: PathBuf::from("/proc/self/exe"),
            shim_args: Vec::new(),
            log_line_bytes: 16 << 10,
            clock: Clock::system(),
        }
    }

    /// Checks the values and that this machine can run containers at all.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the field's name; [`Error::Unavailable`] without root.
    pub fn validate(&self) -> Result<()> {
        if !self.data_dir.is_absolute() || self.data_dir.to_string_lossy().contains([':', ',']) {
            return Err(Error::Invalid(format!(
                "data_dir: {} is not an absolute path without colons and commas",
                self.data_dir.display()
            )));
        }
        if self.log_line_bytes == 0 {
            return Err(Error::Invalid("log_line_bytes: must not be 0".to_owned()));
        }
        if !rustix::process::geteuid().is_root() {
            return Err(Error::Unavailable {
                what: "embedded runtime",
                reason: "running containers needs root".to_owned(),
            });
        }
        Ok(())
    }
}
