//! The responses of watches, as they are sent.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint, message};

use super::super::convert;
use super::super::group::Stamp;
use super::subscription::Member;
use crate::etcd::r#gen::etcdserverpb as pb;
use crate::{Revision, WatchResponse};

/// Numbers of the fields of a response, with their wire types.
const HEADER: u32 = 1;
const WATCH_ID: u8 = 2 << 3;
const FRAGMENT: [u8; 2] = [7 << 3, 1];
const EVENTS: u32 = 11;

/// Events that are sent together: those of one revision, or to who reads the past, of several.
#[derive(Debug)]
pub(super) struct Entry {
    /// The newest that an event is of.
    pub(super) revision: Revision,
    events: Events,
    /// Where each event ends once it is encoded.
    ends: Box<[usize]>,
}

#[derive(Debug)]
enum Events {
    /// Of one revision, for many to read.
    Encoded(Bytes),
    /// For one to read: keys and values are the store's own until they are sent.
    Plain(Box<[pb::Event]>),
}

impl Entry {
    /// Encodes what a watch reported.
    pub(super) fn of_one(response: WatchResponse) -> Self {
        let WatchResponse { revision, events } = response;
        let events: Vec<_> = events.into_iter().map(convert::event).collect();
        let ends = ends(&events);
        let mut encoded = BytesMut::with_capacity(ends.last().copied().unwrap_or(0));
        events.iter().for_each(|event| message::encode(EVENTS, event, &mut encoded));
        Self { revision, events: Events::Encoded(encoded.freeze()), ends }
    }

    /// Puts together what a watch reported in turn.
    pub(super) fn of_several(responses: Vec<WatchResponse>) -> Self {
        let revision = responses.last().map_or(0, |response| response.revision);
        let events: Box<[_]> =
            responses.into_iter().flat_map(|response| response.events).map(convert::event).collect();
        let ends = ends(&events);
        Self { revision, events: Events::Plain(events), ends }
    }

    /// Bytes that it takes.
    pub(super) fn cost(&self) -> usize {
        let in_place = match &self.events {
            Events::Encoded(_) => 0,
            Events::Plain(events) => size_of_val(&**events),
        };
        size_of::<Self>() + in_place + self.end_of(self.ends.len()) + size_of_val(&*self.ends)
    }

    /// The first event of this revision or a later one.
    fn first_from(&self, from: Revision) -> usize {
        match &self.events {
            Events::Encoded(_) if self.revision >= from => 0,
            Events::Encoded(_) => self.ends.len(),
            Events::Plain(events) => {
                events.partition_point(|event| event.kv.as_ref().is_some_and(|kv| kv.mod_revision < from))
            }
        }
    }

    /// Where the first events end, when they are encoded.
    fn end_of(&self, count: usize) -> usize {
        count.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0)
    }

    /// Up to which event a response goes that begins with the event `at`: it is below the limit, or has a single event.
    fn part(&self, at: usize, largest: usize) -> usize {
        let begin = self.end_of(at);
        let fits = self.ends.partition_point(|end| end.saturating_sub(begin) < largest);
        fits.clamp((at + 1).min(self.ends.len()), self.ends.len())
    }

    /// Adds events to `buffer` until it has `enough`; answers which is next.
    fn put(&self, events: Range<usize>, buffer: &mut BytesMut, enough: usize) -> usize {
        match &self.events {
            Events::Encoded(encoded) => {
                let bytes = encoded.get(self.end_of(events.start)..self.end_of(events.end));
                buffer.put_slice(bytes.unwrap_or_default());
                events.end
            }
            Events::Plain(all) => {
                let mut next = events.start;
                for event in all.get(events).unwrap_or_default() {
                    if buffer.len() >= enough {
                        break;
                    }
                    message::encode(EVENTS, event, buffer);
                    next += 1;
                }
                next
            }
        }
    }
}

/// Where each event ends once it is encoded.
fn ends(events: &[pb::Event]) -> Box<[usize]> {
    let end = |end: &mut usize, event| {
        *end += message::encoded_len(EVENTS, event);
        Some(*end)
    };
    events.iter().scan(0, end).collect()
}

/// An entry on its way to one watch.
#[derive(Debug)]
pub(super) struct Sending {
    /// Which event is next, and where the response ends that is on its way.
    next: usize,
    end: usize,
}

impl Sending {
    /// To a watch of everything from a revision on.
    pub(super) fn new(entry: &Entry, from: Revision) -> Self {
        let next = entry.first_from(from);
        Self { next, end: next }
    }

    /// How many events it still has to send.
    pub(super) fn left(&self, entry: &Entry) -> u64 {
        (entry.ends.len() - self.next) as u64
    }

    /// Whether a part of a response was sent, so that nothing but the rest may follow.
    pub(super) fn is_amid(&self) -> bool {
        self.next < self.end
    }

    /// Adds responses, the parts of one if it is larger than `to` takes, to `buffer` until it has `enough`; answers whether that
    /// was all. `begun` is told of each.
    pub(super) fn put(
        &mut self,
        entry: &Entry,
        header: &[u8],
        to: &Member,
        (buffer, enough): (&mut BytesMut, usize),
        mut begun: impl FnMut(),
    ) -> bool {
        while self.next < entry.ends.len() {
            if buffer.len() >= enough {
                return false;
            }
            if !self.is_amid() {
                self.end = entry.part(self.next, to.largest);
                let length = entry.end_of(self.end) - entry.end_of(self.next);
                put_head(buffer, header, to.id, self.end < entry.ends.len(), length);
                begun();
            }
            self.next = entry.put(self.next..self.end, buffer, enough);
        }
        true
    }
}

/// The header of a response, as a field of it.
pub(super) fn header(stamp: Stamp, revision: Revision) -> Bytes {
    let header = stamp.header(revision).unwrap_or_default();
    let mut field = BytesMut::new();
    message::encode(HEADER, &header, &mut field);
    field.freeze()
}

/// Adds all of a response of one watch but its events, which have so many bytes.
fn put_head(buffer: &mut BytesMut, header: &[u8], id: i64, more: bool, events: usize) {
    let id = id.cast_unsigned();
    let id_length = if id == 0 { 0 } else { 1 + encoded_len_varint(id) };
    let more = if more { &FRAGMENT[..] } else { &[] };
    put_prefix(buffer, header.len() + id_length + more.len() + events);
    buffer.put_slice(header);
    if id_length > 0 {
        buffer.put_u8(WATCH_ID);
        encode_varint(id, buffer);
    }
    buffer.put_slice(more);
}

/// Adds any other response.
pub(super) fn put(buffer: &mut BytesMut, response: &pb::WatchResponse) {
    put_prefix(buffer, response.encoded_len());
    // The buffer grows.
    response.encode_raw(buffer);
}

fn put_prefix(buffer: &mut BytesMut, length: usize) {
    /// A large response comes piece by piece.
    const MOST: usize = 128 << 10;
    buffer.reserve(5 + length.min(MOST));
    buffer.put_u8(0);
    buffer.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, EventKind, KeyValue};

    fn response(values: &[usize]) -> WatchResponse {
        let event = |bytes: &usize| Event {
            kind: EventKind::Put,
            kv: KeyValue {
                key: "a".into(),
                value: vec![7; *bytes].into(),
                mod_revision: 9,
                ..Default::default()
            },
            prev: None,
        };
        WatchResponse { revision: 9, events: values.iter().map(event).collect() }
    }

    /// The responses to a watch, of pieces that are no larger than `enough` allows.
    fn sent(entry: &Entry, to: &Member, enough: usize) -> Vec<pb::WatchResponse> {
        let header = pb::ResponseHeader { revision: 9, ..Default::default() };
        let mut field = BytesMut::new();
        message::encode(HEADER, &header, &mut field);
        let (mut sending, mut stream, mut begun) = (Sending::new(entry, to.from), BytesMut::new(), 0);
        loop {
            let mut buffer = BytesMut::new();
            let done = sending.put(entry, &field, to, (&mut buffer, enough), || begun += 1);
            stream.extend_from_slice(&buffer);
            if done {
                break;
            }
        }
        let mut all = Vec::new();
        while let Some(length) = stream.get(1..5) {
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            let message = stream.split_to(5 + length);
            all.push(pb::WatchResponse::decode(&message[5..]).unwrap());
        }
        assert!(!sending.is_amid() && begun == all.len());
        all
    }

    /// The same of both kinds of entries, however it is cut into pieces.
    fn sent_anyhow(values: &[usize], to: &Member) -> Vec<pb::WatchResponse> {
        let first = sent(&Entry::of_one(response(values)), to, usize::MAX);
        for enough in [1, 1000, usize::MAX] {
            assert_eq!(sent(&Entry::of_several(vec![response(values)]), to, enough), first);
        }
        first
    }

    #[test]
    fn a_response_is_what_its_message_would_be() {
        for id in [0, 1, 300, -1] {
            let events = response(&[1, 2]).events.into_iter().map(convert::event).collect();
            let header = Some(pb::ResponseHeader { revision: 9, ..Default::default() });
            let wanted = pb::WatchResponse { header, watch_id: id, events, ..Default::default() };
            assert_eq!(sent_anyhow(&[1, 2], &Member { id, from: 9, largest: 1000 }), [wanted]);
        }
    }

    #[test]
    fn fragments_are_below_the_limit_and_say_that_more_follow() {
        const LARGEST: usize = 10_000;
        let large = LARGEST / 2 - 100;
        let shape = |values: &[usize], largest| -> Vec<_> {
            let parts = sent_anyhow(values, &Member { id: 1, from: 1, largest });
            parts.iter().map(|part| (part.events.len(), part.fragment)).collect()
        };
        assert_eq!(shape(&[large; 5], LARGEST), [(2, true), (2, true), (1, false)]);
        assert_eq!(shape(&[large; 5], usize::MAX), [(5, false)]);
        assert_eq!(shape(&[2 * LARGEST, 1], LARGEST), [(1, true), (1, false)]);
    }

    #[test]
    fn a_watch_gets_no_event_from_before_it_began() {
        let several: Vec<_> = (7..12)
            .map(|revision| {
                let mut response = response(&[1, 2]);
                response.revision = revision;
                response.events.iter_mut().for_each(|event| event.kv.mod_revision = revision);
                response
            })
            .collect();
        let entry = Entry::of_several(several);
        assert_eq!(entry.revision, 11);
        for (from, events) in [(1, 10), (7, 10), (8, 8), (11, 2), (12, 0)] {
            let to = Member { id: 1, from, largest: usize::MAX };
            let found = sent(&entry, &to, usize::MAX);
            assert_eq!(found.iter().map(|part| part.events.len()).sum::<usize>(), events, "{from}");
            assert_eq!(Sending::new(&entry, from).left(&entry), events as u64);
        }
        assert!(sent(&Entry::of_one(response(&[1])), &Member { id: 1, from: 10, largest: 1 }, 1).is_empty());
    }
}
