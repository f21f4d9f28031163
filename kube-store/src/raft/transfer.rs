//! Sending a snapshot in parts, a few of them under way at a time, and taking the parts.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use protobuf::Message as _;
use raft::prelude::Message;
use tokio::time::Instant;

use super::record::Applied;
use super::snapshot::{Sink, Source};
use super::wire::Frame;
use crate::mvcc::State;

/// Parts under way to one member.
const AHEAD: usize = 8;
/// Times that parts are sent again before that is given up.
const TRIES: usize = 8;

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
    source: Source,
    /// Parts that were made and may not have arrived, in order.
    parts: VecDeque<Part>,
    /// How many of them were sent.
    sent: usize,
    made: u64,
    ended: bool,
    idle: usize,
}

#[derive(Debug)]
struct Part {
    offset: u64,
    last: bool,
    data: Bytes,
}

impl Part {
    fn end(&self) -> u64 {
        self.offset + self.data.len() as u64
    }
}

/// A snapshot that arrives.
#[derive(Debug)]
struct Incoming {
    from: u64,
    id: u64,
    message: Message,
    taken: u64,
    /// Ticks since something new arrived.
    idle: usize,
    sink: Sink,
}

/// A snapshot that has arrived whole.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) applied: Applied,
    pub(super) state: State,
}

/// A part as it came.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) from: u64,
    pub(super) id: u64,
    pub(super) offset: u64,
    pub(super) last: bool,
    pub(super) data: Bytes,
}

/// What a member takes at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Of a snapshot.
    pub(super) bytes: u64,
    /// Of a record in it.
    pub(super) record: usize,
}

impl Outgoing {
    fn push(&mut self, data: Bytes, last: bool) {
        let part = Part { offset: self.made, last, data };
        self.made = part.end();
        self.ended = last;
        self.parts.push_back(part);
    }

    /// Makes parts as long as few are under way; answers those to be sent.
    fn frames(&mut self, state: &State, size: usize) -> Vec<Frame> {
        while !self.ended && self.parts.len() < AHEAD {
            let (data, last) = self.source.part(state, size);
            self.push(data, last);
        }
        let frame = |part: &Part| Frame::Chunk {
            transfer: self.id,
            offset: part.offset,
            last: part.last,
            data: part.data.clone(),
        };
        let frames = self.parts.iter().skip(self.sent).map(frame).collect();
        self.sent = self.parts.len();
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
    /// Starts sending the state as it is now; answers the first parts.
    pub(super) fn start(
        &mut self,
        id: u64,
        message: &Message,
        state: &State,
        applied: &Applied,
        size: usize,
    ) -> Vec<Frame> {
        let source = Source::new(state, applied);
        let (parts, idle) = (VecDeque::new(), 0);
        let mut outgoing = Outgoing { id, source, parts, sent: 0, made: 0, ended: false, idle };
        outgoing.push(message.write_to_bytes().unwrap_or_default().into(), false);
        let frames = outgoing.frames(state, size);
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

    /// Goes on after everything before `offset` has arrived; answers the next parts, or `None` when all have.
    pub(super) fn received(
        &mut self,
        from: u64,
        id: u64,
        offset: u64,
        state: &State,
        size: usize,
    ) -> Option<Vec<Frame>> {
        let Some(outgoing) = self.outgoing.get_mut(&from).filter(|outgoing| outgoing.id == id) else {
            return Some(Vec::new());
        };
        while outgoing.parts.front().is_some_and(|part| part.end() <= offset) {
            outgoing.parts.pop_front();
            outgoing.sent = outgoing.sent.saturating_sub(1);
            outgoing.idle = 0;
        }
        if outgoing.ended && outgoing.parts.is_empty() {
            self.outgoing.remove(&from);
            return None;
        }
        Some(outgoing.frames(state, size))
    }

    /// Sends again what seems lost after `patience` ticks, and gives up after some times as long; and lets go of what has
    /// arrived of a snapshot whose sender has given up by now, or is gone.
    pub(super) fn tick(&mut self, patience: usize, state: &State, size: usize) -> Ticked {
        let mut ticked = Ticked::default();
        if let Some(incoming) = &mut self.incoming {
            incoming.idle += 1;
        }
        self.incoming.take_if(|incoming| incoming.idle > patience * TRIES);
        self.outgoing.retain(|to, outgoing| {
            outgoing.idle += 1;
            if outgoing.idle >= patience * TRIES {
                ticked.failed.push(*to);
                return false;
            }
            if outgoing.idle.is_multiple_of(patience) {
                outgoing.sent = 0;
                ticked.resend.extend(outgoing.frames(state, size).into_iter().map(|frame| (*to, frame)));
            }
            true
        });
        ticked
    }

    /// Takes a part; answers how far the parts go without a gap, and the snapshot once all are there and whole.
    pub(super) fn take(
        &mut self,
        chunk: Chunk,
        limits: Limits,
        now: Instant,
    ) -> (u64, Option<(Message, Arrived)>) {
        let is_this = |incoming: &Option<Incoming>| {
            incoming.as_ref().is_some_and(|i| (i.from, i.id) == (chunk.from, chunk.id))
        };
        if chunk.offset == 0 && !is_this(&self.incoming) {
            self.incoming = Incoming::begin(&chunk, limits, now);
        }
        if !is_this(&self.incoming) {
            return (0, None);
        }
        let Some(mut incoming) = self.incoming.take() else { return (0, None) };
        if chunk.offset != incoming.taken || chunk.offset == 0 {
            let taken = incoming.taken;
            self.incoming = Some(incoming);
            return (taken, None);
        }
        incoming.idle = 0;
        incoming.taken += chunk.data.len() as u64;
        let taken = incoming.taken;
        let outcome =
            if taken > limits.bytes { Err(super::codec::damaged()) } else { incoming.sink.add(&chunk.data) };
        match outcome {
            Ok(()) if !chunk.last => {
                self.incoming = Some(incoming);
                (taken, None)
            }
            Ok(()) => (taken, incoming.finish()),
            Err(error) => {
                tracing::warn!(from = chunk.from, %error, "a snapshot makes no sense");
                (0, None)
            }
        }
    }
}

impl Incoming {
    fn begin(chunk: &Chunk, limits: Limits, now: Instant) -> Option<Self> {
        let message = Message::parse_from_bytes(&chunk.data).ok()?;
        let sink = Sink::new(limits.record, now);
        let taken = chunk.data.len() as u64;
        Some(Self { from: chunk.from, id: chunk.id, message, taken, idle: 0, sink })
    }

    fn finish(self) -> Option<(Message, Arrived)> {
        match self.sink.finish() {
            Ok((applied, state)) => Some((self.message, Arrived { applied, state })),
            Err(error) => {
                tracing::warn!(from = self.from, %error, "a snapshot did not arrive whole");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::MemoryEngine;

    fn state() -> State {
        State::load(&MemoryEngine::default(), Instant::now()).unwrap()
    }

    /// A snapshot under way, as its receiver has it after the first of its parts.
    fn begun(state: &State) -> (Transfers, Transfers, Vec<Chunk>) {
        let (mut from, mut to) = (Transfers::default(), Transfers::default());
        let message = Message { to: 2, ..Message::default() };
        let frames = from.start(7, &message, state, &Applied::default(), 4);
        let chunk = |frame| match frame {
            Frame::Chunk { transfer: id, offset, last, data } => {
                Some(Chunk { from: 1, id, offset, last, data })
            }
            _ => None,
        };
        let mut chunks: Vec<Chunk> = frames.into_iter().filter_map(chunk).collect();
        let limits = Limits { bytes: 1 << 20, record: 1 << 20 };
        to.take(chunks.remove(0), limits, Instant::now());
        (from, to, chunks)
    }

    #[test]
    fn what_never_comes_to_an_end_is_let_go() {
        let state = state();
        let (mut from, mut to, chunks) = begun(&state);
        let patience = 3;
        let limits = Limits { bytes: 1 << 20, record: 1 << 20 };
        for chunk in chunks.into_iter().take(3) {
            // One is late, but its sender has not given up.
            for _ in 0..patience * TRIES {
                to.tick(patience, &state, 4);
            }
            to.take(chunk, limits, Instant::now());
            assert!(to.incoming.is_some());
        }
        let failed = (0..patience * TRIES).flat_map(|_| {
            to.tick(patience, &state, 4);
            from.tick(patience, &state, 4).failed
        });
        assert_eq!(failed.collect::<Vec<_>>(), [2], "the sender gives up");
        assert!(to.incoming.is_some(), "its last try may be under way");
        to.tick(patience, &state, 4);
        assert!(to.incoming.is_none());
    }
}
