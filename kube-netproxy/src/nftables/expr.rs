//! Expressions, the instructions of the kernel's packet filter.
//!
//! They work on sixteen registers of four bytes; values of several registers lie side by side.

use crate::Family;
use crate::netlink::Attributes;

/// A register, 0 to 15.
pub(super) type Register = u32;

/// Which of the two addresses of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Source,
    Destination,
}

/// What a packet's evaluation ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict<C> {
    Drop,
    Goto(C),
    Jump(C),
}

/// What to do with an element of a set that packets fill.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dynamic {
    /// Add it or renew its time, in seconds, with data from this register.
    Update { data: Register, seconds: u32 },
    /// Delete it. The kernel wants a register with data even so; any that is filled will do.
    Delete { data: Register },
}

/// One instruction.
#[derive(Debug, Clone)]
pub(super) enum Expr {
    /// Load a constant.
    Immediate(Register, Vec<u8>),
    /// End the evaluation.
    Verdict(Verdict<String>),
    /// Load an address from the network header.
    Address(Register, Family, Side),
    /// Load the destination port.
    Port(Register),
    /// Load the transport protocol.
    Protocol(Register),
    /// Load the packet's mark.
    Mark(Register),
    /// Store the packet's mark.
    SetMark(Register),
    /// Load the status of the connection.
    Status(Register),
    /// Load the kind of an address: 2 is "local".
    AddressKind(Register, Side),
    /// `register = register & mask ^ flip`.
    Bits(Register, Vec<u8>, Vec<u8>),
    /// Go on if equal.
    Equal(Register, Vec<u8>),
    /// Go on if not equal.
    Unequal(Register, Vec<u8>),
    /// Go on if the set holds the key.
    Contains(Register, &'static str),
    /// Load what the map holds for the key, or go on with the next rule.
    Lookup(Register, &'static str, Register),
    /// End the evaluation with what the map holds for the key, if anything.
    Dispatch(Register, &'static str),
    /// Load a random number below the modulus, plus the offset.
    Random { to: Register, modulus: u32, offset: u32 },
    /// Change a set from the packet path.
    Dynamic(Register, &'static str, Dynamic),
    /// Rewrite the destination from registers with address and port.
    Dnat(Family, Register, Register),
    /// Rewrite the source to the outgoing interface's address.
    Masquerade,
    /// Answer with a TCP reset.
    Reset,
    /// Answer with "port unreachable".
    Unreachable(Family),
}

const VERDICT_REGISTER: u32 = 0;

fn wire(register: Register) -> u32 {
    register + 8
}

/// A value inside an attribute of kind `kind`.
pub(super) fn data(out: &mut Attributes<'_>, kind: u16, value: &[u8]) {
    out.nested(kind, |data| data.bytes(1, value));
}

/// A verdict inside an attribute of kind `kind`.
pub(super) fn verdict(out: &mut Attributes<'_>, kind: u16, verdict: &Verdict<impl AsRef<str>>) {
    let (code, chain) = match verdict {
        Verdict::Drop => (0, None),
        Verdict::Jump(chain) => (-3_i32, Some(chain)),
        Verdict::Goto(chain) => (-4, Some(chain)),
    };
    out.nested(kind, |data| {
        data.nested(2, |verdict| {
            verdict.number(1, code.cast_unsigned());
            if let Some(chain) = chain {
                verdict.string(2, chain.as_ref());
            }
        });
    });
}

impl Expr {
    pub(super) fn encode(&self, out: &mut Attributes<'_>) {
        out.nested(1, |element| {
            element.string(1, self.name());
            element.nested(2, |body| self.body(body));
        });
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Immediate(..) | Self::Verdict(_) => "immediate",
            Self::Address(..) | Self::Port(_) => "payload",
            Self::Protocol(_) | Self::Mark(_) | Self::SetMark(_) => "meta",
            Self::Status(_) => "ct",
            Self::AddressKind(..) => "fib",
            Self::Bits(..) => "bitwise",
            Self::Equal(..) | Self::Unequal(..) => "cmp",
            Self::Contains(..) | Self::Lookup(..) | Self::Dispatch(..) => "lookup",
            Self::Random { .. } => "numgen",
            Self::Dynamic(..) => "dynset",
            Self::Dnat(..) => "nat",
            Self::Masquerade => "masq",
            Self::Reset | Self::Unreachable(_) => "reject",
        }
    }

    /// The attribute numbers are those of `linux/netfilter/nf_tables.h`.
    fn body(&self, out: &mut Attributes<'_>) {
        match self {
            Self::Immediate(to, value) => {
                out.number(1, wire(*to));
                data(out, 2, value);
            }
            Self::Verdict(end) => {
                out.number(1, VERDICT_REGISTER);
                verdict(out, 2, end);
            }
            Self::Address(to, family, side) => {
                let (offset, length) = position(*family, *side);
                numbers(out, &[(1, wire(*to)), (2, 1), (3, offset), (4, length)]);
            }
            Self::Port(to) => numbers(out, &[(1, wire(*to)), (2, 2), (3, 2), (4, 2)]),
            Self::Protocol(to) => numbers(out, &[(2, 16), (1, wire(*to))]),
            Self::Mark(to) => numbers(out, &[(2, 3), (1, wire(*to))]),
            Self::SetMark(from) => numbers(out, &[(2, 3), (3, wire(*from))]),
            Self::Status(to) => numbers(out, &[(2, 2), (1, wire(*to))]),
            Self::AddressKind(to, side) => {
                let flags = match side {
                    Side::Source => 1,
                    Side::Destination => 2,
                };
                numbers(out, &[(1, wire(*to)), (2, 3), (3, flags)]);
            }
            Self::Bits(register, mask, flip) => bits(out, *register, mask, flip),
            Self::Equal(from, value) => compare(out, *from, 0, value),
            Self::Unequal(from, value) => compare(out, *from, 1, value),
            Self::Contains(key, set) => lookup(out, *key, set, None),
            Self::Lookup(key, set, to) => lookup(out, *key, set, Some(wire(*to))),
            Self::Dispatch(key, set) => lookup(out, *key, set, Some(VERDICT_REGISTER)),
            Self::Random { to, modulus, offset } => {
                numbers(out, &[(1, wire(*to)), (2, *modulus), (3, 1), (4, *offset)])
            }
            Self::Dynamic(key, set, change) => dynamic(out, *key, set, *change),
            Self::Dnat(family, address, port) => {
                numbers(out, &[(1, 1), (2, number(*family)), (3, wire(*address)), (5, wire(*port))]);
            }
            // Fully random source ports avoid lost insertions when many connections start at once.
            Self::Masquerade => out.number(1, 1 << 4),
            Self::Reset => out.number(1, 1),
            Self::Unreachable(family) => {
                out.number(1, 0);
                out.bytes(2, &[port_unreachable(*family)]);
            }
        }
    }
}

/// `NFPROTO_*`.
pub(super) fn number(family: Family) -> u32 {
    match family {
        Family::V4 => 2,
        Family::V6 => 10,
    }
}

/// The code within "destination unreachable", of ICMP and ICMPv6.
fn port_unreachable(family: Family) -> u8 {
    match family {
        Family::V4 => 3,
        Family::V6 => 4,
    }
}

/// Offset and length of an address in the network header.
fn position(family: Family, side: Side) -> (u32, u32) {
    match (family, side) {
        (Family::V4, Side::Source) => (12, 4),
        (Family::V4, Side::Destination) => (16, 4),
        (Family::V6, Side::Source) => (8, 16),
        (Family::V6, Side::Destination) => (24, 16),
    }
}

fn numbers(out: &mut Attributes<'_>, attributes: &[(u16, u32)]) {
    for (kind, value) in attributes {
        out.number(*kind, *value);
    }
}

fn bits(out: &mut Attributes<'_>, register: Register, mask: &[u8], flip: &[u8]) {
    let length = u32::try_from(mask.len()).unwrap_or_default();
    numbers(out, &[(1, wire(register)), (2, wire(register)), (3, length)]);
    data(out, 4, mask);
    data(out, 5, flip);
}

fn compare(out: &mut Attributes<'_>, from: Register, operator: u32, value: &[u8]) {
    numbers(out, &[(1, wire(from)), (2, operator)]);
    data(out, 3, value);
}

fn lookup(out: &mut Attributes<'_>, key: Register, set: &str, to: Option<u32>) {
    out.string(1, set);
    out.number(2, wire(key));
    if let Some(to) = to {
        out.number(3, to);
    }
}

fn dynamic(out: &mut Attributes<'_>, key: Register, set: &str, change: Dynamic) {
    out.string(1, set);
    match change {
        Dynamic::Update { data, seconds } => {
            numbers(out, &[(3, 1), (4, wire(key)), (5, wire(data))]);
            out.long(6, u64::from(seconds) * 1000);
        }
        Dynamic::Delete { data } => numbers(out, &[(3, 2), (4, wire(key)), (5, wire(data))]),
    }
}
