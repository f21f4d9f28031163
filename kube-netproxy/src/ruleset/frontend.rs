//! What one service address does with its traffic.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A transport protocol that services balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, IP protocol 6.
    Tcp,
    /// UDP, IP protocol 17.
    Udp,
    /// SCTP, IP protocol 132.
    Sctp,
}

impl Protocol {
    /// Reads Kubernetes' spelling; nothing means TCP, unknown spellings give `None`.
    #[must_use]
    pub fn parse(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("" | "TCP") => Some(Self::Tcp),
            Some("UDP") => Some(Self::Udp),
            Some("SCTP") => Some(Self::Sctp),
            Some(_) => None,
        }
    }

    /// The protocol number of the IP header.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

/// An IP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The family's all-zero address.
    #[must_use]
    pub fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }
}

/// Where traffic is sent by its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// One virtual address: a cluster IP, an external IP or a load balancer's.
    Address(IpAddr),
    /// Any of the node's own addresses (of one family) on which node ports are served.
    NodePort(Family),
}

impl Destination {
    /// The IP version of the traffic.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::Address(address) => Family::of(address),
            Self::NodePort(family) => family,
        }
    }

    /// The virtual address; the unspecified address stands for node ports.
    #[must_use]
    pub fn address(self) -> IpAddr {
        match self {
            Self::Address(address) => address,
            Self::NodePort(family) => family.unspecified(),
        }
    }
}

/// What identifies a frontend: destination, protocol and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrontendKey {
    /// Where traffic is sent by its sender.
    pub destination: Destination,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The destination port.
    pub port: u16,
}

/// One endpoint: the address and port traffic is sent on to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    /// Address of the endpoint, of the same family as the frontend's.
    pub address: IpAddr,
    /// Port of the endpoint.
    pub port: u16,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::net::SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// Which sources see the node's address instead of their own at the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Masquerade {
    /// Those outside of the cluster's address ranges ([`crate::Config::cluster_cidrs`]).
    Outside,
    /// All.
    Always,
}

/// What happens to a new connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// It goes to one of these endpoints, each equally likely. Sorted, without duplicates, never empty.
    Balance(Arc<[Backend]>),
    /// It is refused at once: the service has no endpoint anywhere.
    Reject,
    /// It is dropped: endpoints exist, but none on this node, and the traffic policy is `Local`.
    Drop,
}

impl Target {
    /// The endpoints, none when connections are refused.
    #[must_use]
    pub fn backends(&self) -> &[Backend] {
        match self {
            Self::Balance(backends) => backends,
            Self::Reject | Self::Drop => &[],
        }
    }
}

/// What one service address does with its traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontend {
    /// Whose it is: `namespace/service:port`, for people.
    pub service: Arc<str>,
    /// What happens to connections; with `local` present, to those that come from inside the cluster.
    pub target: Target,
    /// With `externalTrafficPolicy: Local`, what happens to connections from outside the cluster. They keep their source address.
    pub local: Option<Target>,
    /// Seconds since its last connection for which a client address keeps its endpoint (`sessionAffinity: ClientIP`).
    pub affinity: Option<u32>,
    /// Whose source address is hidden.
    pub masquerade: Masquerade,
}
