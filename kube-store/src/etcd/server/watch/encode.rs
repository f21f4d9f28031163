//! The responses of watches, as they are sent.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint, message};

use super::super::convert;
use super::super::group::Stamp;
use crate::etcd::r#gen::etcdserverpb as pb;
use crate::{Revision, WatchResponse};

/// Numbers of the fields of a response, with their wire types.
const HEADER: u32 = 1;
const WATCH_ID: u8 = 2 << 3;
const FRAGMENT: [u8; 2] = [7 << 3, 1];
const EVENTS: u32 = 11;

/// Largest response to a client that asked for fragments.
const LARGEST: usize = 1 << 20;

/// All events of one revision.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) revision: Revision,
    events: Bytes,
    /// Where each event ends.
    ends: Box<[usize]>,
}

impl Entry {
    pub(super) fn count(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Bytes that it takes.
    pub(super) fn cost(&self) -> usize {
        size_of::<Self>() + self.events.len() + size_of_val(&*self.ends)
    }

    /// The events, or if the client asked for fragments, parts of them that are below the limit or have a single event.
    fn parts(&self, fragment: bool) -> impl Iterator<Item = &[u8]> {
        let limit = if fragment { LARGEST } else { usize::MAX };
        let mut from = 0;
        std::iter::from_fn(move || {
            let fits = |end: &&usize| **end - from <= limit;
            let rest = self.ends.get(self.ends.partition_point(|end| *end <= from)..)?;
            let end = *rest.iter().take_while(fits).last().or(rest.first())?;
            let part = self.events.get(from..end);
            from = end;
            part
        })
    }
}

/// Encodes what a watch reported.
pub(super) fn entry(response: WatchResponse) -> Entry {
    let WatchResponse { revision, events } = response;
    let events: Vec<_> = events.into_iter().map(convert::event).collect();
    let length = events.iter().map(|event| message::encoded_len(EVENTS, event)).sum();
    let mut encoded = BytesMut::with_capacity(length);
    let ends = events.iter().map(|event| {
        message::encode(EVENTS, event, &mut encoded);
        encoded.len()
    });
    let ends = ends.collect();
    Entry { revision, events: encoded.freeze(), ends }
}

/// The header of a response, as a field of it.
pub(super) fn header(stamp: Stamp, revision: Revision) -> Bytes {
    let header = stamp.header(revision).unwrap_or_default();
    let mut field = BytesMut::new();
    message::encode(HEADER, &header, &mut field);
    field.freeze()
}

/// Adds the response of one watch to `buffer`.
pub(super) fn put_events(buffer: &mut BytesMut, header: &[u8], id: i64, entry: &Entry, fragment: bool) {
    let mut parts = entry.parts(fragment).peekable();
    while let Some(part) = parts.next() {
        let id = id.cast_unsigned();
        let id_length = if id == 0 { 0 } else { 1 + encoded_len_varint(id) };
        let more = if parts.peek().is_some() { &FRAGMENT[..] } else { &[] };
        let length = header.len() + id_length + more.len() + part.len();
        put_prefix(buffer, length);
        buffer.put_slice(header);
        if id_length > 0 {
            buffer.put_u8(WATCH_ID);
            encode_varint(id, buffer);
        }
        buffer.put_slice(more);
        buffer.put_slice(part);
    }
}

/// Adds any other response.
pub(super) fn put(buffer: &mut BytesMut, response: &pb::WatchResponse) {
    put_prefix(buffer, response.encoded_len());
    // The buffer grows.
    response.encode_raw(buffer);
}

fn put_prefix(buffer: &mut BytesMut, length: usize) {
    buffer.reserve(5 + length);
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

    /// The responses to a watch.
    fn sent(values: &[usize], id: i64, fragment: bool) -> Vec<pb::WatchResponse> {
        let mut buffer = BytesMut::new();
        let header = pb::ResponseHeader { revision: 9, ..Default::default() };
        let mut field = BytesMut::new();
        message::encode(HEADER, &header, &mut field);
        put_events(&mut buffer, &field, id, &entry(response(values)), fragment);
        let mut all = Vec::new();
        while let Some(length) = buffer.get(1..5) {
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            let message = buffer.split_to(5 + length);
            all.push(pb::WatchResponse::decode(&message[5..]).unwrap());
        }
        all
    }

    #[test]
    fn a_response_is_what_its_message_would_be() {
        for id in [0, 1, 300, -1] {
            let events = response(&[1, 2]).events.into_iter().map(convert::event).collect();
            let header = Some(pb::ResponseHeader { revision: 9, ..Default::default() });
            let wanted = pb::WatchResponse { header, watch_id: id, events, ..Default::default() };
            assert_eq!(sent(&[1, 2], id, true), [wanted]);
        }
    }

    #[test]
    fn fragments_are_below_the_limit_and_say_that_more_follow() {
        let large = LARGEST / 2 - 100;
        let shape = |values: &[usize], fragment| -> Vec<_> {
            sent(values, 1, fragment).iter().map(|part| (part.events.len(), part.fragment)).collect()
        };
        assert_eq!(shape(&[large; 5], true), [(2, true), (2, true), (1, false)]);
        assert_eq!(shape(&[large; 5], false), [(5, false)]);
        assert_eq!(shape(&[2 * LARGEST, 1], true), [(1, true), (1, false)]);
    }
}
