//! What a runtime pushes.

use super::{ContainerId, SandboxId};

/// Something happened in the runtime. The event is a hint to look again, so a lost or repeated one is harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeEvent {
    /// The pod it is about; empty for [`RuntimeEventKind::Lagged`].
    pub pod_uid: String,
    /// What happened.
    pub kind: RuntimeEventKind,
}

/// Kinds of [`RuntimeEvent`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuntimeEventKind {
    /// A container was made.
    ContainerCreated(ContainerId),
    /// A container's process was started.
    ContainerStarted(ContainerId),
    /// A container's process ended, by itself or by being stopped.
    ContainerExited(ContainerId),
    /// A container was removed.
    ContainerRemoved(ContainerId),
    /// A sandbox became ready, stopped or was removed.
    SandboxChanged(SandboxId),
    /// Events were lost, because this subscriber was slow or the connection broke: list everything again.
    Lagged,
}
