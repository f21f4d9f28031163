//! Messages that make tables, chains, rules and maps.

use super::expr::{Expr, number};
use super::layout::map;
use crate::Family;
use crate::netlink::{Attributes, Batch, Header, flags};

/// Name of our table.
pub(super) const TABLE: &str = "kube-netproxy";
/// `NFNL_SUBSYS_NFTABLES`.
pub(super) const SUBSYSTEM: u16 = 10;

/// Operations (`NFT_MSG_*`).
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation {
    NewTable = 0,
    DeleteTable = 2,
    NewChain = 3,
    NewRule = 6,
    NewSet = 9,
    NewElements = 12,
    DeleteElements = 14,
}

/// A place in a packet's way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hook {
    number: u32,
    priority: i32,
}

impl Hook {
    pub(super) const PREROUTING: Self = Self { number: 0, priority: -100 };
    pub(super) const OUTPUT: Self = Self { number: 3, priority: -100 };
    pub(super) const POSTROUTING: Self = Self { number: 4, priority: 100 };
}

/// What a map's data is.
#[derive(Debug, Clone, Copy)]
enum Data {
    None,
    Verdict,
    Number,
    Endpoint,
}

/// The form of a map or set.
#[derive(Debug, Clone, Copy)]
pub(super) struct MapShape {
    name: &'static str,
    family: Family,
    key: &'static [Field],
    data: Data,
    /// For maps that packets fill: the most elements.
    limit: Option<u32>,
}

/// A part of a key.
#[derive(Debug, Clone, Copy)]
enum Field {
    Address,
    Protocol,
    Port,
    /// A number in the machine's byte order.
    Slot,
}

impl Field {
    /// Bytes in registers, and the type by which the `nft` program shows it.
    fn shape(self, family: Family) -> (u32, u32) {
        match (self, family) {
            (Self::Address, Family::V4) => (4, 7),
            (Self::Address, Family::V6) => (16, 8),
            (Self::Protocol, _) => (4, 12),
            (Self::Port, _) => (4, 13),
            (Self::Slot, _) => (4, 19),
        }
    }
}

fn shape(fields: &[Field], family: Family) -> (u32, u32) {
    fields.iter().fold((0, 0), |(length, kind), field| {
        let (more, name) = field.shape(family);
        (length + more, kind << 6 | name)
    })
}

fn described(out: &mut Attributes<'_>, fields: &[Field], family: Family) {
    let (length, kind) = shape(fields, family);
    out.number(6, kind);
    out.number(7, length);
}

impl MapShape {
    /// Every map of a table.
    pub(super) fn all(family: Family, limit: u32) -> Vec<Self> {
        use Field::{Address, Port, Protocol, Slot};
        let service: &[Field] = &[Address, Protocol, Port];
        let map = |name, key, data| Self { name, family, key, data, limit: None };
        vec![
            map(map::CHAINS, &[Slot], Data::Verdict),
            map(map::TARGETS, &[Slot], Data::Verdict),
            map(map::SERVICES, service, Data::Number),
            map(map::INSIDE, service, Data::Number),
            map(map::OUTSIDE, service, Data::Number),
            map(map::ENDPOINTS, &[Address, Protocol, Port, Slot], Data::Endpoint),
            map(map::STICKY, &[Address, Protocol, Port, Address, Port], Data::None),
            map(map::HAIRPIN, &[Address, Address], Data::None),
            Self {
                limit: Some(limit),
                ..map(map::AFFINITY, &[Address, Address, Protocol, Port], Data::Endpoint)
            },
        ]
    }

    fn encode(&self, id: u32, out: &mut Attributes<'_>) {
        const MAP: u32 = 0x8;
        const TIMEOUT: u32 = 0x10;
        const EVALUATED: u32 = 0x20;
        let (length, kind) = shape(self.key, self.family);
        let mut set_flags = match self.data {
            Data::None => 0,
            Data::Verdict | Data::Number | Data::Endpoint => MAP,
        };
        if self.limit.is_some() {
            set_flags |= TIMEOUT | EVALUATED;
        }
        out.string(1, TABLE);
        out.string(2, self.name);
        out.number(3, set_flags);
        out.number(4, kind);
        out.number(5, length);
        match self.data {
            Data::None => {}
            Data::Verdict => out.number(6, 0xffff_ff00),
            Data::Number => described(out, &[Field::Slot], self.family),
            Data::Endpoint => described(out, &[Field::Address, Field::Port], self.family),
        }
        if let Some(limit) = self.limit {
            out.nested(9, |desc| desc.number(1, limit));
        }
        out.number(10, id);
    }
}

fn header(operation: Operation, family: Family, extra: u16) -> Header {
    Header { kind: SUBSYSTEM << 8 | operation as u16, flags: extra, family: number(family) as u8 }
}

/// Writes messages of one table.
pub(super) struct Writer<'a> {
    pub(super) batch: &'a mut Batch,
    pub(super) family: Family,
}

impl Writer<'_> {
    fn message(&mut self, operation: Operation, extra: u16, fill: impl FnOnce(&mut Attributes<'_>)) {
        self.batch.message(header(operation, self.family, extra), fill);
    }

    /// Makes the table if it does not exist.
    pub(super) fn table(&mut self) {
        self.message(Operation::NewTable, flags::CREATE, |out| {
            out.string(1, TABLE);
            out.number(2, 0);
        });
    }

    /// Deletes the table, which must exist, with everything in it.
    pub(super) fn delete_table(&mut self) {
        self.message(Operation::DeleteTable, 0, |out| out.string(1, TABLE));
    }

    pub(super) fn map(&mut self, map: &MapShape, id: u32) {
        self.message(Operation::NewSet, flags::CREATE, |out| map.encode(id, out));
    }

    pub(super) fn chain(&mut self, name: &str, hook: Option<Hook>) {
        self.message(Operation::NewChain, flags::CREATE, |out| {
            out.string(1, TABLE);
            out.string(3, name);
            if let Some(hook) = hook {
                out.nested(4, |out| {
                    out.number(1, hook.number);
                    out.number(2, hook.priority.cast_unsigned());
                });
                out.string(7, "nat");
            }
        });
    }

    pub(super) fn rule(&mut self, chain: &str, expressions: &[Expr]) {
        self.message(Operation::NewRule, flags::CREATE | flags::APPEND, |out| {
            out.string(1, TABLE);
            out.string(2, chain);
            out.nested(4, |out| expressions.iter().for_each(|expr| expr.encode(out)));
        });
    }

    /// Elements (encoded, under 64 KiB) of one map.
    pub(super) fn elements(&mut self, operation: Operation, map: &str, encoded: &[u8]) {
        let extra = match operation {
            Operation::NewElements => flags::CREATE,
            _ => 0,
        };
        self.message(operation, extra, |out| {
            out.string(1, TABLE);
            out.string(2, map);
            out.nested(3, |out| out.raw(encoded));
        });
    }
}
