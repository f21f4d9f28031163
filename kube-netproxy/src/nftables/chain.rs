//! The chains that service addresses lead to, one per class of services.

use std::fmt::{self, Display, Formatter};

use super::expr::{Dynamic, Expr, Side};
use super::layout::{Layout, map};

/// Slots of endpoints for outside traffic start here, those for inside traffic at zero.
pub(super) const LOCAL_SLOTS: u32 = 1 << 16;

/// Whose source address is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hide {
    Nobody,
    Outsiders,
    Everybody,
}

/// What services share that lead to one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class {
    /// The number of endpoints.
    pub(super) endpoints: u32,
    /// Whether the endpoints are those for outside traffic only.
    pub(super) local: bool,
    /// Whether the address is any of the node's.
    pub(super) node_port: bool,
    pub(super) hide: Hide,
    /// Seconds.
    pub(super) affinity: Option<u32>,
}

/// A chain that an element of a map leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Chain {
    /// Refuses.
    Reject,
    /// Decides whether the source is inside or outside of the cluster.
    Origin { node_port: bool },
    /// Picks an endpoint.
    Balance(Class),
}

impl Display for Chain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reject => f.write_str("reject"),
            Self::Origin { node_port: false } => f.write_str("origin"),
            Self::Origin { node_port: true } => f.write_str("origin-node"),
            Self::Balance(class) => class.fmt(f),
        }
    }
}

impl Display for Class {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.endpoints)?;
        if self.local {
            f.write_str("-local")?;
        }
        if self.node_port {
            f.write_str("-node")?;
        }
        match self.hide {
            Hide::Nobody => f.write_str("-keep")?,
            Hide::Outsiders => {}
            Hide::Everybody => f.write_str("-masq")?,
        }
        if let Some(seconds) = self.affinity {
            write!(f, "-affinity{seconds}")?;
        }
        Ok(())
    }
}

impl Class {
    /// The rules of the class's chain.
    pub(super) fn rules(&self, layout: &Layout) -> Vec<Vec<Expr>> {
        let mut rules = match self.hide {
            Hide::Nobody => vec![],
            Hide::Outsiders => layout.mark_outsiders(),
            Hide::Everybody => vec![layout.mark()],
        };
        if let Some(seconds) = self.affinity {
            rules.extend([
                self.known_client(layout, seconds),
                self.forget_client(layout),
                self.new_client(layout, seconds),
            ]);
        }
        rules.push(self.pick(layout, None));
        rules
    }

    /// Client and service into the registers, in the order of the maps' keys.
    fn load(&self, layout: &Layout, client: bool) -> Vec<Expr> {
        let registers = layout.registers();
        let mut load = layout.service_key(self.node_port);
        if client {
            load.insert(0, Expr::Address(registers.client, layout.family, Side::Source));
        }
        load
    }

    /// A client that was seen goes where it went, if that endpoint still serves.
    fn known_client(&self, layout: &Layout, seconds: u32) -> Vec<Expr> {
        let registers = layout.registers();
        let (address, port) = (registers.slot, registers.slot + registers.width);
        let update = Dynamic::Update { data: address, seconds };
        let mut rule = self.load(layout, true);
        rule.extend([
            Expr::Lookup(registers.client, map::AFFINITY, address),
            Expr::Contains(registers.address, map::STICKY),
            Expr::Dynamic(registers.client, map::AFFINITY, update),
            Expr::Dnat(layout.family, address, port),
        ]);
        rule
    }

    /// Reached when the endpoint does not serve any more: an update would keep the old endpoint.
    fn forget_client(&self, layout: &Layout) -> Vec<Expr> {
        let registers = layout.registers();
        let mut rule = self.load(layout, true);
        let delete = Dynamic::Delete { data: registers.address };
        rule.push(Expr::Dynamic(registers.client, map::AFFINITY, delete));
        rule
    }

    /// When the map is full this rule does nothing, and the next one balances without affinity.
    fn new_client(&self, layout: &Layout, seconds: u32) -> Vec<Expr> {
        self.pick(layout, Some(seconds))
    }

    fn pick(&self, layout: &Layout, remember: Option<u32>) -> Vec<Expr> {
        let registers = layout.registers();
        let (address, port) = (registers.slot + 1, registers.slot + 1 + registers.width);
        let mut rule = self.load(layout, remember.is_some());
        rule.extend([
            Expr::Random {
                to: registers.slot,
                modulus: self.endpoints,
                offset: if self.local { LOCAL_SLOTS } else { 0 },
            },
            Expr::Lookup(registers.address, map::ENDPOINTS, address),
        ]);
        if let Some(seconds) = remember {
            let update = Dynamic::Update { data: address, seconds };
            rule.push(Expr::Dynamic(registers.client, map::AFFINITY, update));
        }
        rule.push(Expr::Dnat(layout.family, address, port));
        rule
    }
}
