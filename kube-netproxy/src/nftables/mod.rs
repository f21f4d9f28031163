//! The kernel's packet filter as a dataplane, over netlink; no `nft` program is involved.
//!
//! # Layout
//! One table per IP family, named `kube-netproxy`, whose size in chains and rules does not depend on the number of services:
//!
//! - `services` (map): address, protocol and port → number of the chain for that many endpoints, or for a refusal. Node ports
//!   are in it under the unspecified address. `chains` (map): number → chain.
//! - `endpoints` (map): address, protocol, port and slot → endpoint. A chain `b3` holds one rule, "dnat to the endpoint of a
//!   random slot of three", for all services with three endpoints.
//! - `inside`, `outside` (maps): for `externalTrafficPolicy: Local`, the two ways on from `services`, and
//!   `targets` (map), which is for them what `chains` is for `services` (one map for both would make a loop).
//! - `affinity` (map filled by packets): client and service → endpoint, with `sticky` (set) of endpoints still valid.
//! - `hairpin` (set): endpoints on this node, which are masqueraded when they reach themselves.
//!
//! So the change of one endpoint costs one element, and a new connection costs three hash lookups, whatever the number of services.

mod chain;
mod conntrack;
mod dataplane;
mod diff;
mod element;
mod expr;
mod layout;
mod object;

pub use dataplane::Nftables;
