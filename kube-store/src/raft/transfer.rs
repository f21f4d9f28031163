//! Sending a snapshot in parts, a few of them under way at a time, and putting the parts together.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use protobuf::Message as _;
use raft::prelude::Message;

use super::snapshot;
use super::wire::Frame;

/// Parts under way to one member.
const AHEAD: u64 = 8;

/// All snapshots on their way from and to this member.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    outgoing: BTreeMap<u64, Outgoing>,
    incoming: Option<Incoming>,
}

/// A snapshot on its way to a member: a message of the `raft` crate as the first part, then the state.
#[derive(Debug)]
struct Outgoing {
    id: u64,
    head: Bytes,
    state: Bytes,
    acked: u64,
    sent: u64,
    idle: usize,
}

#[derive(Debug)]
struct Incoming {
    from: u64,
    id: u64,
    total: u64,
    head: Bytes,
    state: BytesMut,
}

impl Outgoing {
    fn total(&self) -> u64 {
        (self.head.len() + self.state.len()) as u64
    }

    fn chunk(&self, offset: u64, size: u64) -> Bytes {
        let head = self.head.len() as u64;
        let (part, from) = if offset < head { (&self.head, offset) } else { (&self.state, offset - head) };
        let whole = if offset < head { head } else { size };
        let to = (from + whole).min(part.len() as u64);
        // Both lie within the part, so they fit.
        part.slice(usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0))
    }

    fn frames(&mut self, size: u64) -> Vec<Frame> {
        let mut frames = Vec::new();
        while self.sent < self.total() && self.sent < self.acked + AHEAD * size {
            let (offset, total) = (self.sent, self.total());
            let data = self.chunk(offset, size);
            self.sent += data.len() as u64;
            frames.push(Frame::Chunk { transfer: self.id, offset, total, data });
        }
        frames
    }
}

/// What became of snapshots since the last tick.
#[derive(Debug, Default)]
pub(super) struct Ticked {
    pub(super) resend: Vec<(u64, Frame)>,
    pub(super) failed: Vec<u64>,
}

impl Transfers {
    /// Starts sending; answers the first parts.
    pub(super) fn start(&mut self, id: u64, message: &Message, state: Bytes, size: u64) -> Vec<Frame> {
        let head = message.write_to_bytes().unwrap_or_default().into();
        let mut outgoing = Outgoing { id, head, state, acked: 0, sent: 0, idle: 0 };
        let frames = outgoing.frames(size);
        self.outgoing.insert(message.to, outgoing);
        frames
    }

    /// Whether nobody is being sent a snapshot.
    pub(super) fn is_empty(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Forgets what this member was sending: it does not lead any more.
    pub(super) fn stop(&mut self) {
        self.outgoing.clear();
    }

    /// Goes on after a part has arrived; answers the next parts, or `None` when all have.
    pub(super) fn received(&mut self, from: u64, id: u64, offset: u64, size: u64) -> Option<Vec<Frame>> {
        let Some(outgoing) = self.outgoing.get_mut(&from).filter(|outgoing| outgoing.id == id) else {
            return Some(Vec::new());
        };
        if offset > outgoing.acked && offset <= outgoing.total() {
            outgoing.acked = offset;
            outgoing.idle = 0;
            outgoing.sent = outgoing.sent.max(offset);
        }
        if outgoing.acked == outgoing.total() {
            self.outgoing.remove(&from);
            return None;
        }
        Some(outgoing.frames(size))
    }

    /// Sends again what seems lost after `patience` ticks, and gives up after some times as long.
    pub(super) fn tick(&mut self, patience: usize, size: u64) -> Ticked {
        /// Times that parts are sent again.
        const TRIES: usize = 8;
        let mut ticked = Ticked::default();
        self.outgoing.retain(|to, outgoing| {
            outgoing.idle += 1;
            if outgoing.idle >= patience * TRIES {
                ticked.failed.push(*to);
                return false;
            }
            if outgoing.idle.is_multiple_of(patience) {
                outgoing.sent = outgoing.acked;
                ticked.resend.extend(outgoing.frames(size).into_iter().map(|frame| (*to, frame)));
            }
            true
        });
        ticked
    }

    /// Takes a part; answers how far the parts go without a gap, and the message once all are there and whole.
    pub(super) fn take(
        &mut self,
        from: u64,
        id: u64,
        offset: u64,
        total: u64,
        data: &Bytes,
    ) -> (u64, Option<Message>) {
        if offset == 0
            && self.incoming.as_ref().is_none_or(|incoming| (incoming.from, incoming.id) != (from, id))
        {
            self.incoming = Some(Incoming { from, id, total, head: data.clone(), state: BytesMut::new() });
        }
        let Some(incoming) =
            self.incoming.as_mut().filter(|incoming| (incoming.from, incoming.id) == (from, id))
        else {
            return (0, None);
        };
        let have = |incoming: &Incoming| (incoming.head.len() + incoming.state.len()) as u64;
        if offset == have(incoming) && offset > 0 && offset + data.len() as u64 <= incoming.total {
            incoming.state.extend_from_slice(data);
        }
        let so_far = have(incoming);
        if so_far < incoming.total {
            return (so_far, None);
        }
        (so_far, self.incoming.take().and_then(Incoming::finish))
    }
}

impl Incoming {
    fn finish(self) -> Option<Message> {
        let state = self.state.freeze();
        let mut message = Message::parse_from_bytes(&self.head).ok()?;
        if !snapshot::is_whole(&state) {
            tracing::warn!(from = self.from, "a snapshot did not arrive whole");
            return None;
        }
        message.mut_snapshot().data = state;
        Some(message)
    }
}
