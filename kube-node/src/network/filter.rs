//! The nftables table: masquerading and host ports.

use ipnet::Ipv4Net;
use nlink::netlink::nftables::config::{DeclaredChainBuilder, DeclaredTableBuilder, NftablesConfig};
use nlink::netlink::nftables::types::{BaseChain, Family, FibFlags, NatHook, Priority, Rule};
use nlink::netlink::types::route::RouteType;

use super::link::{Host, failed};
use crate::Result;
use crate::seam::{PortMapping, Protocol};

/// Everything the table says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// The node's own ranges: what comes from them and leaves the cluster is masqueraded.
    pub(super) pods: Vec<Ipv4Net>,
    /// Destinations that are not outside.
    pub(super) cluster: Vec<Ipv4Net>,
    /// Host ports and the pods they lead to.
    pub(super) ports: Vec<(std::net::Ipv4Addr, PortMapping)>,
}

/// Makes the table say exactly this, in one transaction.
pub(super) async fn apply(host: &Host, name: &str, content: &Content) -> Result<()> {
    let connection = host.filter()?;
    let config = NftablesConfig::new().table(name, Family::Ip, |table| declare(table, content));
    let step = failed("set the pod network's nftables rules");
    let apply = async { config.diff(&connection).await?.apply(&connection).await };
    apply.await.map(drop).map_err(step)
}

fn declare(table: DeclaredTableBuilder, content: &Content) -> DeclaredTableBuilder {
    let nat = |hook, priority| move |chain: DeclaredChainBuilder| chain.base(BaseChain::nat(hook, priority));
    let mut table = table
        .chain("postrouting", nat(NatHook::Postrouting, Priority::SrcNat))
        .chain("prerouting", nat(NatHook::Prerouting, Priority::DstNat))
        .chain("output", nat(NatHook::Output, Priority::DstNat));
    for pods in &content.pods {
        let from = |rule: Rule| rule.match_saddr_v4(pods.network(), pods.prefix_len());
        for inside in content.cluster.iter().chain(&content.pods) {
            table = table.rule("postrouting", |rule| from(rule).match_daddr_v4(inside.network(), inside.prefix_len()).accept());
        }
        let multicast = Ipv4Net::new_assert(std::net::Ipv4Addr::new(224, 0, 0, 0), 4);
        table = table.rule("postrouting", |rule| from(rule).match_daddr_v4(multicast.network(), 4).accept());
        table = table.rule("postrouting", |rule| from(rule).masquerade());
    }
    for chain in ["prerouting", "output"] {
        for (address, port) in &content.ports {
            table = table.rule(chain, |rule| redirect(rule, *address, port));
        }
    }
    table
}

fn redirect(rule: Rule, address: std::net::Ipv4Addr, port: &PortMapping) -> Rule {
    let rule = match port.host_ip {
        Some(std::net::IpAddr::V4(ip)) if !ip.is_unspecified() => rule.match_daddr_v4(ip, 32),
        _ => rule.match_fib_type(FibFlags::DADDR, RouteType::Local),
    };
    let rule = match port.protocol {
        Protocol::Udp => rule.match_udp_dport(port.host_port),
        _ => rule.match_tcp_dport(port.host_port),
    };
    rule.dnat(address, Some(port.container_port))
}
