//! The three seams of a node: [`Runtime`] with [`ImageService`] for containers, [`NetworkPlugin`] for the pod network, [`StoragePlugin`] for
//! volumes. All are object-safe and speak the plain values of this module; adapters map them to CRI, CNI and CSI.
//!
//! Rules that hold for every method of every seam:
//! - **Cancel safety.** Dropping a returned future may leave the operation done or not done, never half done in a way that a later `stop` or
//!   `remove` of the same id cannot clean up.
//! - **Idempotency.** Everything that stops, removes or tears down succeeds when there is nothing left to do; it never answers
//!   [`Error::NotFound`](crate::Error::NotFound).
//! - **Concurrency.** Methods may be called at the same time from many tasks; calls about one container are made one after the other by the agent,
//!   except streams, queries and `stop`, which may overlap anything.
//! - **Errors.** See [`Error`](crate::Error): `Failed` is shown to the user and retried with back-off, `Unavailable` is retried soon, `Invalid` and
//!   `Unsupported` wait for a changed spec.

mod container;
mod event;
mod image;
mod network;
mod runtime;
mod sandbox;
mod storage;
mod stream;

pub use container::{
    Capabilities, ContainerConfig, ContainerFilter, ContainerId, ContainerLinux, ContainerReason,
    ContainerSecurity, ContainerState, ContainerStats, ContainerStatus, Device, ImageRef, Mount,
    MountPropagation, Resources,
};
pub use event::{RuntimeEvent, RuntimeEventKind};
pub use image::{FsUsage, ImageService, ImageStatus, RegistryAuth};
pub use network::{Bandwidth, NetworkPlugin, NetworkReady, NetworkStatus, PodNetwork};
pub use runtime::{Runtime, RuntimeInfo};
pub use sandbox::{
    DnsConfig, NamespaceMode, Namespaces, PodRef, PortMapping, Protocol, SandboxConfig, SandboxFilter,
    SandboxId, SandboxLinux, SandboxState, SandboxStatus, SecurityProfile,
};
pub use storage::{PublishVolume, StageVolume, StoragePlugin, VolumeRef, VolumeStats};
pub use stream::{
    DuplexStream, ExecOutput, ExecRequest, ExecSession, InputStream, OutputStream, TerminalSize,
};
