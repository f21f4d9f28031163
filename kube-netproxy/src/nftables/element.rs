//! Elements of maps, as values that can be compared, and their encoding.

use super::chain::Chain;
use super::expr::{Verdict, data, verdict};
use super::layout::{address_bytes, map};
use super::object::{Operation, Writer};
use crate::netlink::Attributes;
use crate::{Backend, FrontendKey};

/// A map of chains and a target in it.
pub(super) type Step = (&'static str, Verdict<Chain>);

/// One element that a frontend has in some map. Its key is the frontend's, plus what the variant says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    /// Where all traffic goes first.
    Service(Verdict<Chain>),
    /// Where traffic from inside goes.
    Inside(Verdict<Chain>),
    /// Where traffic from outside goes.
    Outside(Verdict<Chain>),
    /// The endpoint of a slot.
    Endpoint(u32, Backend),
    /// An endpoint to which clients may stick.
    Sticky(Backend),
}

impl Entry {
    pub(super) fn map(&self) -> &'static str {
        match self {
            Self::Service(_) => map::SERVICES,
            Self::Inside(_) => map::INSIDE,
            Self::Outside(_) => map::OUTSIDE,
            Self::Endpoint(..) => map::ENDPOINTS,
            Self::Sticky(_) => map::STICKY,
        }
    }

    /// Where this element leads, if it leads to a chain, and the map that says so.
    pub(super) fn chain(&self) -> Option<Step> {
        match self {
            Self::Service(chain) => Some((map::CHAINS, *chain)),
            Self::Inside(chain) | Self::Outside(chain) => Some((map::TARGETS, *chain)),
            Self::Endpoint(..) | Self::Sticky(_) => None,
        }
    }

    /// Writes key and, unless it is about to be deleted, data.
    pub(super) fn encode(
        &self,
        frontend: &FrontendKey,
        chain: u32,
        with_data: bool,
        out: &mut Attributes<'_>,
    ) {
        let mut bytes = Bytes::default();
        bytes.service(frontend);
        match self {
            Self::Endpoint(slot, _) => bytes.push(&slot.to_ne_bytes()),
            Self::Sticky(backend) => bytes.backend(backend),
            Self::Service(_) | Self::Inside(_) | Self::Outside(_) => {}
        }
        out.nested(1, |element| {
            data(element, 1, bytes.as_slice());
            if !with_data {
                return;
            }
            match self {
                Self::Endpoint(_, backend) => {
                    let mut value = Bytes::default();
                    value.backend(backend);
                    data(element, 2, value.as_slice());
                }
                Self::Service(_) | Self::Inside(_) | Self::Outside(_) => {
                    data(element, 2, &chain.to_ne_bytes())
                }
                Self::Sticky(_) => {}
            }
        });
    }
}

/// Writes an element of the map of chains.
pub(super) fn encode_chain(number: u32, target: &Verdict<String>, out: &mut Attributes<'_>) {
    out.nested(1, |element| {
        data(element, 1, &number.to_ne_bytes());
        verdict(element, 2, target);
    });
}

/// Writes an element of the hairpin set.
pub(super) fn encode_hairpin(address: std::net::IpAddr, out: &mut Attributes<'_>) {
    let mut bytes = Bytes::default();
    bytes.push(&address_bytes(address));
    bytes.push(&address_bytes(address));
    out.nested(1, |element| data(element, 1, bytes.as_slice()));
}

/// A key or a value as it lies in registers: fields padded to four bytes.
struct Bytes {
    bytes: [u8; 64],
    length: usize,
}

impl Default for Bytes {
    fn default() -> Self {
        Self { bytes: [0; 64], length: 0 }
    }
}

impl Bytes {
    fn push(&mut self, field: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + field.len()) {
            place.copy_from_slice(field);
            self.length = (self.length + field.len()).next_multiple_of(4);
        }
    }

    fn service(&mut self, key: &FrontendKey) {
        self.push(&address_bytes(key.destination.address()));
        self.push(&[key.protocol.number()]);
        self.push(&key.port.to_be_bytes());
    }

    fn backend(&mut self, backend: &Backend) {
        self.push(&address_bytes(backend.address));
        self.push(&backend.port.to_be_bytes());
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Encoded elements of one map, in pieces that each fit into one message.
#[derive(Debug, Default)]
pub(super) struct Elements {
    pieces: Vec<Vec<u8>>,
    pub(super) count: usize,
}

/// Attributes are shorter than 64 KiB; one element is shorter than 1 KiB.
const PIECE: usize = 60 * 1024;

impl Elements {
    pub(super) fn push(&mut self, encode: impl FnOnce(&mut Attributes<'_>)) {
        if self.pieces.last().is_none_or(|piece| piece.len() > PIECE) {
            self.pieces.push(Vec::new());
        }
        if let Some(piece) = self.pieces.last_mut() {
            encode(&mut Attributes::new(piece));
            self.count += 1;
        }
    }

    pub(super) fn write(&self, operation: Operation, map: &str, writer: &mut Writer<'_>) {
        for piece in &self.pieces {
            writer.elements(operation, map, piece);
        }
    }
}
