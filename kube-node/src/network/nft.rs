//! nftables messages and expressions in the kernel's encoding (`linux/netfilter/nf_tables.h`), as many as the pod network's table needs.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use netlink_packet_core::{DefaultNla, Emitable, NLA_F_NESTED, NetlinkSerializable};

/// The subsystem of nftables, and the messages around a transaction.
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NFPROTO_IPV4`.
const IPV4: u8 = 2;
/// Registers: the verdict, and the first of those for data.
const VERDICT: u32 = 0;
const DATA: u32 = 1;
const PORT: u32 = 2;

/// Where a chain of translations hooks in: number and priority.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hook {
    Prerouting,
    Output,
    Postrouting,
}

impl Hook {
    /// The hook's name, which the chain bears too.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }

    fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }

    /// Sources are translated last, destinations early.
    fn priority(self) -> i32 {
        if matches!(self, Self::Postrouting) { 100 } else { -100 }
    }
}

/// Part of a rule: expressions, in order.
pub(super) type Expressions = Vec<DefaultNla>;

/// One netfilter message.
#[derive(Debug)]
pub(super) struct Message {
    kind: u16,
    family: u8,
    resource: u16,
    attributes: Vec<DefaultNla>,
}

impl Message {
    fn mark(kind: u16) -> Self {
        Self { kind, family: 0, resource: SUBSYSTEM, attributes: Vec::new() }
    }

    pub(super) fn begin() -> Self {
        Self::mark(BATCH_BEGIN)
    }

    pub(super) fn end() -> Self {
        Self::mark(BATCH_END)
    }

    fn new(operation: u16, attributes: Vec<DefaultNla>) -> Self {
        Self { kind: SUBSYSTEM << 8 | operation, family: IPV4, resource: 0, attributes }
    }

    pub(super) fn new_table(name: &str) -> Self {
        Self::new(0, vec![text(1, name)])
    }

    pub(super) fn delete_table(name: &str) -> Self {
        Self::new(2, vec![text(1, name)])
    }

    pub(super) fn new_chain(table: &str, hook: Hook) -> Self {
        let at = [number(1, hook.number()), bytes(2, hook.priority().to_be_bytes())];
        Self::new(3, vec![text(1, table), text(3, hook.name()), nested(4, &at), text(7, "nat")])
    }

    pub(super) fn new_rule(table: &str, hook: Hook, expressions: &Expressions) -> Self {
        Self::new(6, vec![text(1, table), text(2, hook.name()), nested(4, expressions)])
    }
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        4 + self.attributes.as_slice().buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, attributes) = buffer.split_at_mut(4);
        let [high, low] = self.resource.to_be_bytes();
        header.copy_from_slice(&[self.family, 0, high, low]);
        self.attributes.as_slice().emit(attributes);
    }
}

fn bytes<const N: usize>(kind: u16, value: [u8; N]) -> DefaultNla {
    DefaultNla::new(kind, value.to_vec())
}

fn number(kind: u16, value: u32) -> DefaultNla {
    bytes(kind, value.to_be_bytes())
}

fn text(kind: u16, value: &str) -> DefaultNla {
    DefaultNla::new(kind, [value.as_bytes(), &[0]].concat())
}

fn nested(kind: u16, inner: &[DefaultNla]) -> DefaultNla {
    let mut value = vec![0; inner.buffer_len()];
    inner.emit(&mut value);
    DefaultNla::new(kind | NLA_F_NESTED, value)
}

/// An element of a rule's list: name and parameters.
fn expression(name: &str, parameters: &[DefaultNla]) -> DefaultNla {
    nested(1, &[text(1, name), nested(2, parameters)])
}

fn value<const N: usize>(kind: u16, value: [u8; N]) -> DefaultNla {
    nested(kind, &[bytes(1, value)])
}

/// Goes on only when the data register holds `wanted`.
fn equals<const N: usize>(wanted: [u8; N]) -> DefaultNla {
    expression("cmp", &[number(1, DATA), number(2, 0), value(3, wanted)])
}

/// Loads from the network header (base 1) or the transport header (base 2).
fn payload(base: u32, offset: u32, length: u32) -> DefaultNla {
    expression("payload", &[number(1, DATA), number(2, base), number(3, offset), number(4, length)])
}

fn load<const N: usize>(register: u32, data: [u8; N]) -> DefaultNla {
    expression("immediate", &[number(1, register), value(2, data)])
}

fn address_in(offset: u32, range: Ipv4Net) -> Expressions {
    let mask = bytes(1, range.netmask().octets());
    let masked = [number(1, DATA), number(2, DATA), number(3, 4), nested(4, &[mask]), value(5, [0; 4])];
    vec![payload(1, offset, 4), expression("bitwise", &masked), equals(range.network().octets())]
}

/// The packet comes from `range`.
pub(super) fn from(range: Ipv4Net) -> Expressions {
    address_in(12, range)
}

/// The packet goes to `range`.
pub(super) fn to(range: Ipv4Net) -> Expressions {
    address_in(16, range)
}

/// The packet goes to an address of this host (route type 2, local).
pub(super) fn to_this_host() -> Expressions {
    const ADDRESS_TYPE: u32 = 3;
    const OF_DESTINATION: u32 = 2;
    let look_up = [number(1, DATA), number(2, ADDRESS_TYPE), number(3, OF_DESTINATION)];
    vec![expression("fib", &look_up), equals(2_u32.to_ne_bytes())]
}

/// The packet is of this IP protocol and goes to `port`.
pub(super) fn to_port(protocol: u8, port: u16) -> Expressions {
    const PROTOCOL: u32 = 16;
    let protocol_is = [expression("meta", &[number(1, DATA), number(2, PROTOCOL)]), equals([protocol])];
    protocol_is.into_iter().chain([payload(2, 2, 2), equals(port.to_be_bytes())]).collect()
}

/// No other rule of the chain is asked.
pub(super) fn accept() -> Expressions {
    let accepted = nested(2, &[nested(2, &[number(1, 1)])]);
    vec![expression("immediate", &[number(1, VERDICT), accepted])]
}

/// The packet leaves under the address of the interface that it leaves by.
pub(super) fn masquerade() -> Expressions {
    vec![expression("masq", &[])]
}

/// The packet goes to `address` and `port` instead.
pub(super) fn redirect(address: Ipv4Addr, port: u16) -> Expressions {
    const DESTINATION: u32 = 1;
    let nat = [number(1, DESTINATION), number(2, IPV4.into()), number(3, DATA), number(5, PORT)];
    vec![load(DATA, address.octets()), load(PORT, port.to_be_bytes()), expression("nat", &nat)]
}
