//! Generated from `proto/peer.proto`.
#![expect(unreachable_pub, reason = "generated code; the messages are documented in the proto file")]
#![expect(clippy::too_many_lines, clippy::allow_attributes_without_reason, reason = "generated code")]

#[rustfmt::skip]
#[path = "kubestore.peer.rs"]
pub mod messages;
