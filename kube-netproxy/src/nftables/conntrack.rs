//! Forgets connections to endpoints that are gone.
//!
//! A UDP client that keeps its port keeps its entry in the connection table alive, so its packets would go to an endpoint
//! that has left for as long as it sends. TCP needs no such help: its peer answers with a reset, or times out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::diff::Wanted;
use super::expr::number;
use crate::netlink::{Batch, Header, Socket, flags};
use crate::{Backend, Destination, Family, Frontend, FrontendKey, Protocol};

/// `NFNL_SUBSYS_CTNETLINK`.
const SUBSYSTEM: u16 = 1;
const GET: u16 = 1;
const DELETE: u16 = 2;
const UDP: u8 = 17;

/// UDP frontends that changed, with what they are now.
#[derive(Debug, Default)]
pub(super) struct Stale {
    frontends: HashMap<FrontendKey, Option<Arc<Frontend>>>,
}

impl Stale {
    pub(super) fn note(&mut self, changes: &[Wanted]) {
        for change in changes {
            match change {
                Wanted::Frontend(key, frontend) if key.protocol == Protocol::Udp => {
                    self.frontends.insert(*key, frontend.clone());
                }
                Wanted::Frontend(..) | Wanted::LocalEndpoint(..) => {}
            }
        }
    }

    /// Whether a connection leads somewhere it would not be sent now.
    fn covers(&self, original: &Tuple, answering: &Backend) -> bool {
        let address = FrontendKey {
            destination: Destination::Address(original.destination.address),
            protocol: Protocol::Udp,
            port: original.destination.port,
        };
        let node_port = FrontendKey {
            destination: Destination::NodePort(Family::of(original.destination.address)),
            ..address
        };
        let Some(frontend) = self.frontends.get(&address).or_else(|| self.frontends.get(&node_port)) else {
            return false;
        };
        let rewritten = original.destination != *answering;
        match frontend {
            None => rewritten,
            Some(frontend) => !leads_to(frontend, answering),
        }
    }
}

fn leads_to(frontend: &Frontend, backend: &Backend) -> bool {
    let targets = std::iter::once(&frontend.target).chain(&frontend.local);
    targets.into_iter().any(|target| target.backends().binary_search(backend).is_ok())
}

/// Deletes the entries; what fails is logged, as the entries also time out by themselves.
pub(super) fn flush(socket: &mut Socket, stale: &Stale) {
    for family in [Family::V4, Family::V6] {
        let concerned = stale.frontends.keys().any(|key| key.destination.family() == family);
        if concerned && let Err(error) = flush_family(socket, stale, family) {
            tracing::warn!(%error, "cannot forget connections to endpoints that are gone");
        }
    }
}

fn flush_family(socket: &mut Socket, stale: &Stale, family: Family) -> crate::Result<()> {
    let mut doomed: Vec<Vec<u8>> = Vec::new();
    let mut request = Batch::plain();
    request.message(header(GET, family, flags::DUMP), |_| {});
    socket.dump(request, |entry| {
        if let Some(tuple) = examine(entry, stale) {
            doomed.push(tuple.to_vec());
        }
    })?;
    for tuple in doomed {
        let mut delete = Batch::plain();
        delete.message(header(DELETE, family, 0), |out| out.raw(&tuple));
        // It may have timed out meanwhile.
        if let Err(error) = socket.execute(delete) {
            tracing::debug!(%error, "cannot delete a connection entry");
        }
    }
    Ok(())
}

fn header(operation: u16, family: Family, extra: u16) -> Header {
    Header { kind: SUBSYSTEM << 8 | operation, flags: extra, family: number(family) as u8 }
}

/// One direction of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Tuple {
    source: Backend,
    destination: Backend,
}

/// The encoded original direction, with its attribute header, if the entry has to go.
fn examine<'a>(entry: &'a [u8], stale: &Stale) -> Option<&'a [u8]> {
    let (encoded, original) = find(entry, 1)?;
    let (_, reply) = find(entry, 2)?;
    let original = parse(original)?;
    let reply = parse(reply)?;
    stale.covers(&original, &reply.source).then_some(encoded)
}

/// `CTA_TUPLE_IP` and `CTA_TUPLE_PROTO` of a UDP connection.
fn parse(tuple: &[u8]) -> Option<Tuple> {
    let (_, ip) = find(tuple, 1)?;
    let (_, proto) = find(tuple, 2)?;
    if find(proto, 1)?.1.first() != Some(&UDP) {
        return None;
    }
    let end = |v4, v6, port| {
        let address = find(ip, v4).or_else(|| find(ip, v6))?.1;
        let port = find(proto, port)?.1.first_chunk()?;
        Some(Backend { address: address_of(address)?, port: u16::from_be_bytes(*port) })
    };
    Some(Tuple { source: end(1, 3, 2)?, destination: end(2, 4, 3)? })
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()),
        _ => Some(Ipv6Addr::from(*bytes.first_chunk::<16>()?).into()),
    }
}

/// The first attribute of a kind: with header and padding, and its value.
fn find(mut attributes: &[u8], wanted: u16) -> Option<(&[u8], &[u8])> {
    loop {
        let header = attributes.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & 0x3fff;
        let value = attributes.get(4..length)?;
        let padded = length.next_multiple_of(4).min(attributes.len());
        if kind == wanted {
            return Some((attributes.get(..padded)?, value));
        }
        attributes = attributes.get(padded..)?;
    }
}
