//! Generated from `proto/cri-v1.proto`.
#![expect(missing_docs, reason = "generated code; the messages are documented by the CRI specification")]
#![expect(clippy::too_many_lines, clippy::allow_attributes_without_reason, reason = "generated code")]

#[rustfmt::skip]
pub mod runtime_v1;
