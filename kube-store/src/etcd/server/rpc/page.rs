use bytes::BytesMut;
use prost::Message;
use prost::encoding::message;

use super::messages::PREFIX;
use super::unary::put_prefix;
use crate::etcd::r#gen::etcdserverpb as pb;

/// Bytes that are encoded at once: some frames, and little beside what they are made of.
const PIECE: usize = 64 << 10;

/// The answer to a range, encoded piece by piece: its keys and values are the store's own until they are sent.
pub(super) struct Page {
    length: usize,
    /// Everything but the keys; gone once it was encoded, which it is first.
    head: Option<pb::RangeResponse>,
    kvs: std::vec::IntoIter<pb::KeyValue>,
}

impl Page {
    pub(super) fn new(mut response: pb::RangeResponse) -> Self {
        let kvs = std::mem::take(&mut response.kvs);
        let encoded: usize = kvs.iter().map(|kv| message::encoded_len(KVS, kv)).sum();
        Self { length: response.encoded_len() + encoded, head: Some(response), kvs: kvs.into_iter() }
    }

    /// Whether it is one piece.
    pub(super) fn is_small(&self) -> bool {
        self.length <= PIECE
    }

    /// Encodes the next piece; answers `false` when there is none.
    pub(super) fn fill(&mut self, buffer: &mut BytesMut) -> bool {
        if let Some(head) = self.head.take() {
            buffer.reserve(PREFIX + self.length.min(PIECE));
            put_prefix(buffer, self.length);
            // Fields may come in any order, and those after the keys are put before them.
            head.encode_raw(buffer);
        } else {
            buffer.reserve(PIECE);
        }
        while buffer.len() < PIECE
            && let Some(kv) = self.kvs.next()
        {
            message::encode(KVS, &kv, buffer);
        }
        !buffer.is_empty()
    }
}

/// Number of the field of keys.
const KVS: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_message() {
        let kv = |n: usize| pb::KeyValue {
            key: format!("key-{n}").into(),
            value: vec![7; n * 100].into(),
            mod_revision: 1 << n,
            ..Default::default()
        };
        for keys in [0, 1, 60] {
            let header = Some(pb::ResponseHeader { revision: 7, ..Default::default() });
            let response =
                pb::RangeResponse { header, kvs: (0..keys).map(kv).collect(), more: true, count: 70 };
            let mut page = Page::new(response.clone());
            assert_eq!(page.is_small(), keys < 60);
            let (mut all, mut piece) = (Vec::new(), BytesMut::new());
            while page.fill(&mut piece) {
                assert!(piece.len() < PIECE + 6100);
                all.extend_from_slice(&piece.split());
            }
            assert_eq!(all.get(1..5), Some(&u32::to_be_bytes(response.encoded_len() as u32)[..]));
            assert_eq!(pb::RangeResponse::decode(&all[PREFIX..]).unwrap(), response);
        }
    }
}
