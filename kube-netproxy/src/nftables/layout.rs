//! The fixed part of a table: its maps, its hooks, and the rules that lead into them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::expr::{Expr, Register, Side, Verdict};
use super::object::{Hook, MapShape};
use crate::{Config, Family};

/// Names of maps and sets.
pub(super) mod map {
    pub(in crate::nftables) const SERVICES: &str = "services";
    pub(in crate::nftables) const CHAINS: &str = "chains";
    pub(in crate::nftables) const TARGETS: &str = "targets";
    pub(in crate::nftables) const INSIDE: &str = "inside";
    pub(in crate::nftables) const OUTSIDE: &str = "outside";
    pub(in crate::nftables) const ENDPOINTS: &str = "endpoints";
    pub(in crate::nftables) const STICKY: &str = "sticky";
    pub(in crate::nftables) const AFFINITY: &str = "affinity";
    pub(in crate::nftables) const HAIRPIN: &str = "hairpin";
}

/// `RTN_LOCAL`: an address of this machine.
const LOCAL: u32 = 2;
/// `IPS_DST_NAT`: the connection's destination was rewritten.
const DESTINATION_REWRITTEN: u32 = 1 << 5;
/// Clients remembered at most, over all services.
const AFFINITY_LIMIT: u32 = 1 << 18;

/// What the fixed part depends on.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) family: Family,
    inside: Vec<IpNet>,
    node_ports: Vec<IpNet>,
    mark: u32,
}

/// Which registers hold what: client, address, protocol, port, slot, endpoint, side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Registers {
    /// Registers per address.
    pub(super) width: u32,
    pub(super) client: Register,
    pub(super) address: Register,
    protocol: Register,
    port: Register,
    /// The slot, and after it the endpoint; where no slot is used, the endpoint begins here.
    pub(super) slot: Register,
}

/// A chain of the fixed part.
pub(super) struct FixedChain {
    pub(super) name: &'static str,
    pub(super) hook: Option<Hook>,
    pub(super) rules: Vec<Vec<Expr>>,
}

impl Layout {
    pub(super) fn new(family: Family, config: &Config) -> Self {
        let of_family = |list: &[IpNet]| -> Vec<IpNet> {
            let mut nets: Vec<_> =
                list.iter().filter(|net| Family::of(net.addr()) == family).copied().collect();
            nets.sort();
            nets.dedup();
            nets
        };
        Self {
            family,
            inside: of_family(&config.cluster_cidrs),
            node_ports: of_family(&config.node_port_addresses),
            mark: 1 << config.masquerade_bit,
        }
    }

    /// All registers are in use with IPv6: four addresses' worth less two.
    pub(super) fn registers(&self) -> Registers {
        let width = match self.family {
            Family::V4 => 1,
            Family::V6 => 4,
        };
        Registers {
            width,
            client: 0,
            address: width,
            protocol: 2 * width,
            port: 2 * width + 1,
            slot: 2 * width + 2,
        }
    }

    pub(super) fn maps(&self) -> Vec<MapShape> {
        MapShape::all(self.family, AFFINITY_LIMIT)
    }

    pub(super) fn chains(&self) -> Vec<FixedChain> {
        let plain = |name, rules| FixedChain { name, hook: None, rules };
        let hooked = |name, hook, rules| FixedChain { name, hook: Some(hook), rules };
        let jump = || vec![vec![Expr::Verdict(Verdict::Jump("dispatch".to_owned()))]];
        vec![
            plain("reject", self.reject()),
            plain("origin", self.origin(false)),
            plain("origin-node", self.origin(true)),
            plain("dispatch", self.dispatch()),
            hooked("prerouting", Hook::PREROUTING, jump()),
            hooked("output", Hook::OUTPUT, jump()),
            hooked("postrouting", Hook::POSTROUTING, self.postrouting()),
        ]
    }

    fn dispatch(&self) -> Vec<Vec<Expr>> {
        let finish = |mut rule: Vec<Expr>, node_port| {
            rule.extend(self.service_key(node_port));
            rule.extend(self.follow(map::SERVICES, map::CHAINS));
            rule
        };
        let mut rules = vec![finish(vec![], false)];
        let mut local = is_kind(LOCAL, Side::Destination);
        if self.node_ports.is_empty() {
            let loopback = match self.family {
                Family::V4 => "127.0.0.0/8",
                Family::V6 => "::1/128",
            };
            local.extend(
                loopback
                    .parse()
                    .ok()
                    .into_iter()
                    .flat_map(|net| self.belongs(Side::Destination, &net, false)),
            );
            rules.push(finish(local, true));
        } else {
            for net in &self.node_ports {
                let mut rule = local.clone();
                rule.extend(self.belongs(Side::Destination, net, true));
                rules.push(finish(rule, true));
            }
        }
        rules
    }

    /// Traffic from pods and from this node may use any endpoint, other traffic those on this node only.
    fn origin(&self, node_port: bool) -> Vec<Vec<Expr>> {
        let finish = |mut rule: Vec<Expr>, map| {
            rule.extend(self.service_key(node_port));
            rule.extend(self.follow(map, map::TARGETS));
            rule
        };
        let mut rules: Vec<_> = self
            .inside
            .iter()
            .map(|net| finish(self.belongs(Side::Source, net, true), map::INSIDE))
            .collect();
        let mut from_node = is_kind(LOCAL, Side::Source);
        from_node.extend(self.mark());
        rules.push(finish(from_node, map::INSIDE));
        rules.push(finish(vec![], map::OUTSIDE));
        rules
    }

    fn reject(&self) -> Vec<Vec<Expr>> {
        let tcp = vec![Expr::Protocol(0), Expr::Equal(0, vec![6]), Expr::Reset];
        vec![tcp, vec![Expr::Unreachable(self.family)]]
    }

    fn postrouting(&self) -> Vec<Vec<Expr>> {
        let width = self.registers().width;
        let marked = vec![
            Expr::Mark(0),
            Expr::Bits(0, native(self.mark), native(0)),
            Expr::Equal(0, native(self.mark)),
            Expr::Mark(0),
            Expr::Bits(0, native(!self.mark), native(0)),
            Expr::SetMark(0),
            Expr::Masquerade,
        ];
        let hairpin = vec![
            Expr::Status(0),
            Expr::Bits(0, native(DESTINATION_REWRITTEN), native(0)),
            Expr::Unequal(0, native(0)),
            Expr::Address(0, self.family, Side::Source),
            Expr::Address(width, self.family, Side::Destination),
            Expr::Contains(0, map::HAIRPIN),
            Expr::Masquerade,
        ];
        vec![marked, hairpin]
    }

    /// Address, protocol and port of the service into the registers.
    pub(super) fn service_key(&self, node_port: bool) -> Vec<Expr> {
        let registers = self.registers();
        let address = if node_port {
            Expr::Immediate(registers.address, address_bytes(self.family.unspecified()))
        } else {
            Expr::Address(registers.address, self.family, Side::Destination)
        };
        vec![address, Expr::Protocol(registers.protocol), Expr::Port(registers.port)]
    }

    /// Goes where the map leads for the service key. The map holds numbers of chains, not chains, because the kernel follows
    /// every chain named in a map to look for loops whenever the map changes.
    fn follow(&self, services: &'static str, chains: &'static str) -> [Expr; 2] {
        let registers = self.registers();
        [Expr::Lookup(registers.address, services, registers.slot), Expr::Dispatch(registers.slot, chains)]
    }

    /// Marks the packet for masquerading.
    pub(super) fn mark(&self) -> Vec<Expr> {
        vec![Expr::Mark(0), Expr::Bits(0, native(!self.mark), native(self.mark)), Expr::SetMark(0)]
    }

    /// Marks packets from outside of the cluster; without knowledge of the cluster's addresses nobody is outside.
    pub(super) fn mark_outsiders(&self) -> Vec<Vec<Expr>> {
        if self.inside.is_empty() {
            return vec![];
        }
        let mut rule: Vec<_> =
            self.inside.iter().flat_map(|net| self.belongs(Side::Source, net, false)).collect();
        rule.extend(self.mark());
        vec![rule]
    }

    /// Goes on if the address is (or is not) in the network.
    fn belongs(&self, side: Side, net: &IpNet, wanted: bool) -> Vec<Expr> {
        let (mask, value) = (address_bytes(net.netmask()), address_bytes(net.network()));
        let flip = vec![0; mask.len()];
        let compare = if wanted { Expr::Equal(0, value) } else { Expr::Unequal(0, value) };
        vec![Expr::Address(0, self.family, side), Expr::Bits(0, mask, flip), compare]
    }
}

fn is_kind(kind: u32, side: Side) -> Vec<Expr> {
    vec![Expr::AddressKind(0, side), Expr::Equal(0, native(kind))]
}

/// Numbers in registers, other than those of packets, are in the machine's byte order.
fn native(value: u32) -> Vec<u8> {
    value.to_ne_bytes().to_vec()
}

pub(super) fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
