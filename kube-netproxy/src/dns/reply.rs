//! Questions into messages and back: pure functions.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RData, Record};

/// The largest UDP message that is not cut into pieces on any usual path.
pub(super) const UDP_LIMIT: u16 = 1232;
/// The largest UDP message to clients that do not say what they can take.
const UDP_CLASSIC: u16 = 512;

/// What a received message asks for.
#[derive(Debug)]
pub(super) enum Request {
    /// A question to be answered.
    Question(Message, Query),
    /// An answer that needs no thought.
    Done(Message),
    /// Nothing that deserves an answer.
    Ignore,
}

/// Reads a message.
pub(super) fn read(bytes: &[u8]) -> Request {
    let Ok(message) = Message::from_vec(bytes) else {
        // With a readable identifier the sender can be told.
        return match bytes {
            [high, low, flags, _, ..] if bytes.len() >= 12 && flags & 0x80 == 0 => {
                let id = u16::from_be_bytes([*high, *low]);
                Request::Done(Message::error_msg(id, OpCode::Query, ResponseCode::FormErr))
            }
            _ => Request::Ignore,
        };
    };
    if message.metadata.message_type == MessageType::Response {
        return Request::Ignore;
    }
    if message.metadata.op_code != OpCode::Query {
        return Request::Done(respond(&message, ResponseCode::NotImp));
    }
    let edns_version = message.edns.as_ref().map_or(0, Edns::version);
    match message.queries.as_slice() {
        _ if edns_version > 0 => Request::Done(respond(&message, ResponseCode::BADVERS)),
        [query] if query.query_class != DNSClass::IN => {
            Request::Done(respond(&message, ResponseCode::Refused))
        }
        [query] => {
            let query = query.clone();
            Request::Question(message, query)
        }
        _ => Request::Done(respond(&message, ResponseCode::FormErr)),
    }
}

/// An empty response to a request.
pub(super) fn respond(request: &Message, code: ResponseCode) -> Message {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.checking_disabled = request.metadata.checking_disabled;
    response.metadata.response_code = code;
    response.add_queries(request.queries.iter().cloned());
    if let Some(edns) = &request.edns {
        let mut own = Edns::new();
        own.set_max_payload(UDP_LIMIT);
        own.set_dnssec_ok(edns.flags().dnssec_ok);
        // The message holds four bits of the code, these are the others.
        own.set_rcode_high(u8::try_from(u16::from(code) >> 4).unwrap_or(u8::MAX));
        response.set_edns(own);
    }
    response
}

/// A response that speaks for the cluster's domain.
pub(super) fn authoritative(
    request: &Message,
    code: ResponseCode,
    answers: Vec<Record>,
    soa: Record,
) -> Message {
    let mut response = respond(request, code);
    response.metadata.authoritative = true;
    if answers.is_empty() {
        response.add_authority(soa);
    }
    response.insert_answers(answers);
    response
}

/// The most bytes that the asker of a request takes over UDP.
pub(super) fn udp_limit(request: &Message) -> u16 {
    request.edns.as_ref().map_or(UDP_CLASSIC, |edns| edns.max_payload().clamp(UDP_CLASSIC, UDP_LIMIT))
}

/// Encodes a response; what exceeds the limit is left out: additional records silently, others with the mark "truncated".
pub(super) fn write(mut response: Message, limit: u16) -> Option<Vec<u8>> {
    let fits = |bytes: &Vec<u8>| bytes.len() <= usize::from(limit);
    let bytes = response.to_vec().ok()?;
    if fits(&bytes) {
        return Some(bytes);
    }
    response.additionals.clear();
    let bytes = response.to_vec().ok()?;
    if fits(&bytes) {
        return Some(bytes);
    }
    response.truncate().to_vec().ok()
}

/// The shortest time for which all of a response holds, in seconds; none if it must not be kept.
pub(super) fn lifetime(response: &Message) -> Option<u32> {
    if !matches!(response.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return None;
    }
    let negative = response.metadata.response_code == ResponseCode::NXDomain || response.answers.is_empty();
    let denials = response.authorities.iter().filter_map(|record| match &record.data {
        RData::SOA(soa) if negative => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    response.answers.iter().map(|record| record.ttl).chain(denials).min().filter(|seconds| *seconds > 0)
}
