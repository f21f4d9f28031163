//! The nftables table: masquerading and host ports.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};

use super::link::Host;
use super::nft::{self, Expressions, Hook, Message};
use crate::seam::{PortMapping, Protocol};
use crate::{Error, Result};

/// Everything the table says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// The node's own ranges: what comes from them and leaves the cluster is masqueraded.
    pub(super) pods: Vec<Ipv4Net>,
    /// Destinations that are not outside.
    pub(super) cluster: Vec<Ipv4Net>,
    /// Host ports and the pods they lead to.
    pub(super) ports: Vec<(Ipv4Addr, PortMapping)>,
}

/// Makes the table say exactly this, in one transaction. The table is replaced as a whole: it is small, and asking the kernel what there is
/// would list every other table too.
pub(super) fn apply(host: &Host, table: &str, content: &Content) -> Result<()> {
    // Made first so that there is one to delete.
    let start = [
        (0, Message::begin()),
        (NLM_F_CREATE, Message::new_table(table)),
        (0, Message::delete_table(table)),
        (NLM_F_CREATE, Message::new_table(table)),
    ];
    let hooks = [Hook::Postrouting, Hook::Prerouting, Hook::Output];
    let chains = hooks.map(|hook| (NLM_F_CREATE, Message::new_chain(table, hook)));
    let rules = rules(content);
    let rules =
        rules.iter().map(|(hook, rule)| (NLM_F_CREATE | NLM_F_APPEND, Message::new_rule(table, *hook, rule)));
    let transaction = start.into_iter().chain(chains).chain(rules).chain([(0, Message::end())]);
    host.filter()?.execute(transaction.collect()).map_err(Error::io("set the pod network's nftables rules"))
}

fn rules(content: &Content) -> Vec<(Hook, Expressions)> {
    const MULTICAST: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4);
    let mut rules = Vec::new();
    for pods in &content.pods {
        for inside in content.cluster.iter().chain(&content.pods).chain([&MULTICAST]) {
            rules.push((Hook::Postrouting, [nft::from(*pods), nft::to(*inside), nft::accept()].concat()));
        }
        rules.push((Hook::Postrouting, [nft::from(*pods), nft::masquerade()].concat()));
    }
    for hook in [Hook::Prerouting, Hook::Output] {
        rules.extend(content.ports.iter().map(|(address, port)| (hook, redirect(*address, port))));
    }
    rules
}

fn redirect(address: Ipv4Addr, port: &PortMapping) -> Expressions {
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    let host = match port.host_ip {
        Some(std::net::IpAddr::V4(ip)) if !ip.is_unspecified() => nft::to(ip.into()),
        _ => nft::to_this_host(),
    };
    let protocol = if port.protocol == Protocol::Udp { UDP } else { TCP };
    [host, nft::to_port(protocol, port.host_port), nft::redirect(address, port.container_port)].concat()
}
