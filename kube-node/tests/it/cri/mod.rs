//! The adapter over CRI, against Debian's containerd. Needs root, containerd, runc and busybox-static; says so when they are missing.

#![expect(clippy::unwrap_used, reason = "a step that fails is a failed test")]

mod containerd;
// One builder of archives for both crates that talk to containerd.
#[path = "../../../../cri-client/tests/it/image.rs"]
mod image;
mod pod;
mod suite;
