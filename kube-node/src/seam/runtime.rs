//! The container runtime seam.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{
    ContainerConfig, ContainerFilter, ContainerId, ContainerStats, ContainerStatus, DuplexStream, ExecOutput,
    ExecRequest, ExecSession, ImageService, RuntimeEvent, SandboxConfig, SandboxFilter, SandboxId,
    SandboxStatus,
};
use crate::Result;

/// Runs sandboxes and containers, with the semantics of CRI v1's `RuntimeService`.
///
/// The general rules are in [the module's documentation](super). What a runtime keeps outlives the agent: after the agent's process was killed, a new
/// instance over the same state lists the same sandboxes and containers, still running, with labels, attempts, times and exit codes.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Who this is and whether it can work. Called every few seconds: must be cheap. An error means not ready.
    async fn info(&self) -> Result<RuntimeInfo>;

    /// Makes and starts a sandbox with its network; when this returns, it is ready and has its addresses. On an error nothing is left that `sandboxes`
    /// would not list. Two calls make two sandboxes; for one pod and attempt the second may be `Conflict` instead until the first was removed.
    async fn run_sandbox(&self, config: &SandboxConfig) -> Result<SandboxId>;

    /// Kills what runs in it and gives back the network. The sandbox stays listed as not ready. Idempotent.
    async fn stop_sandbox(&self, id: &SandboxId) -> Result<()>;

    /// Stops it when necessary and removes it with its containers. Logs stay. Idempotent.
    async fn remove_sandbox(&self, id: &SandboxId) -> Result<()>;

    /// The sandboxes that match, in no particular order.
    async fn sandboxes(&self, filter: &SandboxFilter) -> Result<Vec<SandboxStatus>>;

    /// Makes a container in a ready sandbox (else `Conflict`; `NotFound` when there is none). `sandbox_config` is the one the sandbox was made with. Two calls
    /// with one name and attempt: the second is `Conflict` unless the first was removed.
    async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: &ContainerConfig,
        sandbox_config: &SandboxConfig,
    ) -> Result<ContainerId>;

    /// Starts a created container (else `Conflict`). When this returns the process has been executed; a command that cannot be executed is `Failed` and leaves the
    /// container exited with `StartError`.
    async fn start_container(&self, id: &ContainerId) -> Result<()>;

    /// Sends the stop signal (`signal`, e.g. `SIGTERM`, else the image's, else SIGTERM), waits up to `grace`, then SIGKILL. Returns when the process has ended; 0 kills at once.
    /// A second call with a shorter grace shortens it. Runtimes behind a protocol without a signal use the image's. Idempotent.
    async fn stop_container(&self, id: &ContainerId, grace: Duration, signal: Option<&str>) -> Result<()>;

    /// Kills it when necessary and removes it; the log file stays. Idempotent.
    async fn remove_container(&self, id: &ContainerId) -> Result<()>;

    /// The containers that match, in no particular order.
    async fn containers(&self, filter: &ContainerFilter) -> Result<Vec<ContainerStatus>>;

    /// Opens the log file again after it was renamed.
    async fn reopen_log(&self, id: &ContainerId) -> Result<()>;

    /// Runs a command in a running container with streams (else `Conflict`).
    async fn exec(&self, id: &ContainerId, request: ExecRequest) -> Result<ExecSession>;

    /// Runs a command to its end with bounded output ([`ExecOutput::LIMIT`]); after `timeout` it is killed: `Deadline`.
    async fn exec_sync(&self, id: &ContainerId, command: &[String], timeout: Duration) -> Result<ExecOutput>;

    /// Connects to the streams of the container's own process. Its exit future resolves when the container exits.
    async fn attach(&self, id: &ContainerId, request: ExecRequest) -> Result<ExecSession>;

    /// Connects to a TCP port on the loopback of the sandbox's network.
    async fn port_forward(&self, sandbox: &SandboxId, port: u16) -> Result<Box<dyn DuplexStream>>;

    /// What happens from this call on. Every subscriber gets every event or [`Lagged`](super::RuntimeEventKind::Lagged); the stream does not end while the runtime lives.
    fn events(&self) -> BoxStream<'static, RuntimeEvent>;

    /// What the matching running containers use.
    async fn stats(&self, filter: &ContainerFilter) -> Result<Vec<ContainerStats>>;

    /// The images.
    fn images(&self) -> Arc<dyn ImageService>;

    /// Tells the node's pod address ranges (`spec.podCIDRs`), at start and whenever they change. Runtimes that have no use for them keep the default.
    async fn set_pod_cidrs(&self, cidrs: &[ipnet::IpNet]) -> Result<()> {
        let _ = cidrs;
        Ok(())
    }
}

/// Who a runtime is and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuntimeInfo {
    /// Name, also the scheme of container ids in the API: `containerd`, `embedded`, ...
    pub name: String,
    /// Version.
    pub version: String,
    /// Whether containers can be made.
    pub ready: bool,
    /// Whether pods can get a network.
    pub network_ready: bool,
    /// One word for what is not ready, e.g. `NetworkPluginNotReady`; empty when all is well.
    pub reason: String,
    /// One sentence for what is not ready.
    pub message: String,
}
