//! The supervisor of one pod: a small process that owns the pod's namespaces and containers and outlives the node agent.
//!
//! Creating a container means forking, and forking a process with many threads is not safe: a lock held by another thread at
//! that moment stays locked in the child for ever. The agent is such a process, so it never forks. It starts one supervisor per
//! pod by executing itself again under the name [`PROGRAM_NAME`]; [`maybe_run`], called as the first line of `main`, notices
//! that name and turns the process into a supervisor before any thread exists.
//!
//! ```
//! // The first line of `main`:
//! kube_node::shim::maybe_run();
//! // Then the program proper: build the asynchronous runtime, start the agent, and so on.
//! ```
//!
//! The supervisor is single-threaded: one `poll` loop over its socket, the standard streams of its processes and their process
//! descriptors. It creates and holds the pod's network, IPC and UTS namespaces, starts containers from OCI bundles, writes their
//! logs in the CRI format, and notes each exit in a state file before telling anybody, so that nothing that happens while the agent
//! is away is lost. Needs Linux 5.12.
//!
//! | module | what |
//! |---|---|
//! | `protocol` | requests, replies, events and their framing on the supervisor's socket |
//! | `client` | the agent's side: [`ShimClient`], and [`start`] which starts a supervisor |
//! | `entry` | the supervisor's beginning: namespaces, session, cgroup, socket |
//! | `server` | its loop |
//! | `conn` | one connection: framing and bounded buffers |
//! | `task` | one process (a container's first, or an exec) and its streams |
//! | [`oci`] | what a supervisor reads of the OCI runtime specification |
//! | `container` | starting a container, and executing in one |
//! | `pause` | the first process of a shared process namespace |
//! | `log` | CRI log files |
//! | `cgroup` | cgroup v1 and v2: groups, limits, statistics |
//! | `seal` | the supervisor's program, safe from containers |
//! | `sys` | system calls that need `unsafe` |

pub(crate) mod cgroup;
mod client;
mod conn;
mod container;
mod entry;
mod forward;
mod log;
pub mod oci;
mod pause;
mod protocol;
mod seal;
mod server;
mod sys;
mod task;

pub use client::{ShimClient, ShimStream, ShimWriter, start};
pub use entry::{PROGRAM_NAME, maybe_run};
pub use protocol::{
    ContainerReport, Event, Exit, Frame, Overlay, Reply, Report, Request, ShimConfig, StartContainer,
    StartExec, Streams,
};
