use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use prost::Message;
use tonic::Status;

/// Before each message: whether it is compressed, and its length.
pub(in super::super) const PREFIX: usize = 5;

/// The messages that a client sends in one call.
pub(in super::super) struct Messages {
    body: h2::RecvStream,
    read: BytesMut,
    /// Most bytes of one.
    largest: usize,
}

impl Messages {
    pub(in super::super) fn new(body: h2::RecvStream, largest: usize) -> Self {
        Self { body, read: BytesMut::new(), largest }
    }

    /// The only message of a call.
    pub(super) async fn only<M: Message + Default>(&mut self) -> Result<M, Status> {
        let first = self.body.data().await;
        if let Some(Ok(data)) = &first
            && let Some(length) = length(data, self.largest)?
            && data.len() == PREFIX + length
        {
            // As nearly always, it came in one piece, and is read where it lies.
            self.release(data.len())?;
            return decode(data.get(PREFIX..).unwrap_or_default());
        }
        if let Some(data) = first {
            self.take(data)?;
        }
        poll_fn(|cx| self.poll_next(cx)).await?.ok_or_else(|| Status::internal("Missing request message."))
    }

    /// The next message; `None` at the end.
    pub(in super::super) fn poll_next<M: Message + Default>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<M>, Status>> {
        loop {
            if let Some(length) = length(&self.read, self.largest)?
                && self.read.len() >= PREFIX + length
            {
                let message = decode(self.read.get(PREFIX..PREFIX + length).unwrap_or_default());
                self.read.advance(PREFIX + length);
                return Poll::Ready(message.map(Some));
            }
            match ready!(self.body.poll_data(cx)) {
                Some(data) => self.take(data)?,
                None if self.read.is_empty() => return Poll::Ready(Ok(None)),
                None => return Poll::Ready(Err(Status::internal("Unexpected EOF decoding stream."))),
            }
        }
    }

    fn take(&mut self, data: Result<bytes::Bytes, h2::Error>) -> Result<(), Status> {
        let data = data.map_err(|error| Status::cancelled(error.to_string()))?;
        self.read.extend_from_slice(&data);
        self.release(data.len())
    }

    fn release(&mut self, bytes: usize) -> Result<(), Status> {
        let released = self.body.flow_control().release_capacity(bytes);
        released.map_err(|error| Status::cancelled(error.to_string()))
    }
}

/// From a slice, so that keys and values get memory of their own and what was received can go.
fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, Status> {
    M::decode(bytes).map_err(|error| Status::internal(error.to_string()))
}

/// Length of the message that begins here, once it can be known.
fn length(bytes: &[u8], largest: usize) -> Result<Option<usize>, Status> {
    let Some([compressed, length @ ..]) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    match compressed {
        0 if length > largest => Err(too_large(length, largest)),
        0 => Ok(Some(length)),
        _ => Err(Status::unimplemented("compressed messages are not taken")),
    }
}

/// What a client hears whose message is too large, in Go's words.
pub(in super::super) fn too_large(length: usize, largest: usize) -> Status {
    Status::resource_exhausted(format!("grpc: received message larger than max ({length} vs. {largest})"))
}

/// Finds messages in the bytes of a stream, whatever these are cut into.
#[derive(Debug)]
pub(super) struct Framing {
    prefix: BytesMut,
    /// Bytes of the message that are still to come.
    left: usize,
    /// Most bytes of one.
    largest: usize,
}

impl Framing {
    pub(super) fn new(largest: usize) -> Self {
        Self { prefix: BytesMut::new(), left: 0, largest }
    }

    /// Looks at the next bytes; answers how many messages begin there. Refuses one that is too large before more of it comes.
    pub(super) fn messages(&mut self, mut bytes: &[u8]) -> Result<u64, Status> {
        let mut begun = 0;
        loop {
            let inside = self.left.min(bytes.len());
            self.left -= inside;
            bytes = bytes.get(inside..).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(begun);
            }
            let (of_prefix, rest) = bytes.split_at(bytes.len().min(PREFIX - self.prefix.len()));
            self.prefix.extend_from_slice(of_prefix);
            bytes = rest;
            if self.prefix.len() == PREFIX {
                let length = self.prefix.get(1..).unwrap_or_default().get_u32() as usize;
                self.prefix.clear();
                if length > self.largest {
                    return Err(too_large(length, self.largest));
                }
                (self.left, begun) = (length, begun + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_the_stream_is_cut() {
        let stream = [&[0, 0, 0, 0, 2, 7, 7][..], &[0, 0, 0, 0, 0], &[1, 0, 0, 1, 0], &[7; 256]].concat();
        for cut in 1..stream.len() {
            let mut framing = Framing::new(256);
            let found = stream.chunks(cut).map(|piece| framing.messages(piece).unwrap()).sum::<u64>();
            assert_eq!((found, framing.left), (3, 0), "{cut}");
            let mut framing = Framing::new(255);
            let refused = stream.chunks(cut).find_map(|piece| framing.messages(piece).err()).unwrap();
            assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
            assert_eq!(refused.message(), "grpc: received message larger than max (256 vs. 255)");
        }
    }
}
