//! Generated from `proto/etcd-v3.proto`, and from what etcd builds on it: `v3lock.proto` and `v3election.proto`.
#![expect(unreachable_pub, reason = "generated code; the messages are documented by etcd's API")]
#![expect(clippy::enum_variant_names, clippy::allow_attributes_without_reason, reason = "generated code")]
#![cfg_attr(feature = "server", expect(clippy::too_many_lines, reason = "generated code"))]
#![allow(dead_code, reason = "the generator makes clients and servers alike")]

#[rustfmt::skip]
pub mod etcdserverpb;
#[cfg(feature = "server")]
#[rustfmt::skip]
pub mod v3electionpb;
#[cfg(feature = "server")]
#[rustfmt::skip]
pub mod v3lockpb;
