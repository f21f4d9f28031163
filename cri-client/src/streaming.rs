//! Exec and attach sessions over the URL that a runtime hands out, as a WebSocket with Kubernetes' channel subprotocols.
//!
//! Frames are binary; the first byte names the channel: 0 stdin, 1 stdout, 2 stderr, 3 the final status (a Kubernetes
//! `Status` in JSON), 4 terminal size. `v5.channel.k8s.io` adds 255, which closes the channel named by the second byte;
//! it is asked for first, since under `v4.channel.k8s.io` a command never sees the end of its stdin.

mod frame;
mod session;

pub use session::{Exit, Session, TerminalSize, open, open_over};
