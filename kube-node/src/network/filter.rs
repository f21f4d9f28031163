//! The nftables table: masquerading and host ports.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use nlink::netlink::nftables::Transaction;
use nlink::netlink::nftables::types::{BaseChain, Chain, Family, FibFlags, NatHook, Priority, Rule};
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
    pub(super) ports: Vec<(Ipv4Addr, PortMapping)>,
}

/// Makes the table say exactly this, in one transaction. The table is replaced as a whole: it is small, and asking the kernel what there is
/// would list every other table too.
pub(super) async fn apply(host: &Host, name: &str, content: &Content) -> Result<()> {
    let connection = host.filter()?;
    let declare =
        |start| declare(start, name, content).map_err(failed("declare the pod network's nftables rules"));
    let replace = declare(connection.transaction().del_table(name, Family::Ip))?;
    if replace.commit(&connection).await.is_ok() {
        return Ok(());
    }
    // There is no table yet; any other cause comes up again.
    let create = declare(connection.transaction())?;
    create.commit(&connection).await.map_err(failed("set the pod network's nftables rules"))
}

fn declare(start: Transaction, name: &str, content: &Content) -> nlink::Result<Transaction> {
    let chain = |chain, hook, priority| {
        Ok::<_, nlink::Error>(
            Chain::new(name, chain)?.family(Family::Ip).base(BaseChain::nat(hook, priority)),
        )
    };
    let mut transaction = start
        .add_table(name, Family::Ip)
        .add_chain(chain("postrouting", NatHook::Postrouting, Priority::SrcNat)?)
        .add_chain(chain("prerouting", NatHook::Prerouting, Priority::DstNat)?)
        .add_chain(chain("output", NatHook::Output, Priority::DstNat)?);
    for rule in rules(name, content) {
        transaction = transaction.add_rule(rule.family(Family::Ip));
    }
    Ok(transaction)
}

fn rules(name: &str, content: &Content) -> Vec<Rule> {
    const MULTICAST: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4);
    let mut rules = Vec::new();
    for pods in &content.pods {
        let from = || Rule::new(name, "postrouting").match_saddr_v4(pods.network(), pods.prefix_len());
        for inside in content.cluster.iter().chain(&content.pods).chain([&MULTICAST]) {
            rules.push(from().match_daddr_v4(inside.network(), inside.prefix_len()).accept());
        }
        rules.push(from().masquerade());
    }
    for chain in ["prerouting", "output"] {
        rules.extend(
            content.ports.iter().map(|(address, port)| redirect(Rule::new(name, chain), *address, port)),
        );
    }
    rules
}

fn redirect(rule: Rule, address: Ipv4Addr, port: &PortMapping) -> Rule {
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
