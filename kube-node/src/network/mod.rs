//! The built-in pod network: routed, over one virtual cable per pod, without any plugin binary.
//!
//! [`RoutedNetwork`] implements [`NetworkPlugin`](crate::seam::NetworkPlugin). A pod's interface is one end of a veth pair and has a single
//! address (`/32`); the other end stays with the host, which routes that address to it. There is no bridge on purpose: on a bridge,
//! pods of one node reach each other without passing the host's routing, so an answer to a connection that was redirected from a Service's
//! address would skip the translation back unless the `br_netfilter` module is loaded. Routed, every packet of every pod passes
//! the host's prerouting and forwarding hooks, also from a pod to itself through a Service.
//!
//! Inside a pod (`10.244.0.0/24` being the node's range): `eth0` with `10.244.0.5/32`, the gateway `10.244.0.1` as a neighbour with a fixed
//! hardware address, the default route through it. On the host: `10.244.0.1/32` on every host end, a route and a fixed neighbour
//! per pod, an unreachable route for the rest of the range, forwarding on, and one nftables table that masquerades what pods send out of the
//! cluster and redirects host ports.
//!
//! | module | what |
//! |---|---|
//! | `config` | [`NetworkConfig`] |
//! | `plugin` | the seam's methods |
//! | `lease` | addresses: a bitmap's worth of files that outlive restarts |
//! | `link` | cables, addresses and routes by rtnetlink |
//! | `filter` | the nftables table |
//! | `netlink`, `nft` | the kernel's protocol and nftables' part of it |
//!
//! Not done: bandwidth limits (ignored), IPv6 (the types carry it, a range of it is refused). A firewall of somebody else's whose forward chain
//! drops by default (Docker's does) also drops what pods send; accepting it here would not overrule that.

mod config;
mod filter;
mod lease;
mod link;
mod netlink;
mod nft;
mod plugin;

pub use config::NetworkConfig;
pub use plugin::RoutedNetwork;
