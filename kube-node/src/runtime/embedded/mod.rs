//! OCI containers run by this crate itself: no container runtime has to be installed.
//!
//! [`EmbeddedRuntime`] implements [`Runtime`](crate::seam::Runtime) over three parts that are usable alone: [`image`](crate::image) (what
//! containers are made of), [`shim`](crate::shim) (the process per pod that runs them) and a
//! [`NetworkPlugin`](crate::seam::NetworkPlugin), normally [`RoutedNetwork`](crate::network::RoutedNetwork). It keeps what it knows in files
//! below its data folder and holds nothing that a killed process could lose: supervisors go on without it, and the next
//! [`open`](EmbeddedRuntime::open) finds them by their sockets.
//!
//! Needs root, Linux 5.12, overlayfs and cgroups (v1, v2 or both). Programs that use it call [`shim::maybe_run`](crate::shim::maybe_run) first.
//!
//! | module | what |
//! |---|---|
//! | `config` | [`EmbeddedConfig`] |
//! | `record` | what is kept on disk about sandboxes and containers |
//! | `runtime` | opening, adoption, and the seam's methods |
//! | `sandbox`, `container` | the life of each |
//! | `watch` | events from supervisors |
//! | `session` | exec, attach and port-forward streams |
//! | `spec` | a container's configuration as an OCI runtime specification |
//! | `identity` | users and groups of an image |
//! | `capability` | capabilities |
//!
//! Seccomp: this runtime has no profile of its own; `RuntimeDefault` runs unconfined like an unset profile, and `Localhost` is refused.
//! User namespaces and AppArmor profiles other than those of the host's default are not there.

mod capability;
mod config;
mod container;
mod identity;
mod record;
mod runtime;
mod sandbox;
mod session;
mod spec;
mod watch;

pub use config::EmbeddedConfig;
pub use runtime::EmbeddedRuntime;
