use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::Failure;

/// A server of the benchmark's own, in a folder of its own; both end with the value.
pub(super) struct Server {
    _child: Child,
    _dir: tempfile::TempDir,
    pub(super) address: String,
}

impl Server {
    /// Starts `program` with the arguments that `arguments` makes of an address and a folder.
    pub(super) fn start(
        program: &Path,
        arguments: impl FnOnce(&str, &Path) -> Vec<String>,
    ) -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let child = Command::new(program)
            .args(arguments(&address, dir.path()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Self { _child: child, _dir: dir, address })
    }
}
