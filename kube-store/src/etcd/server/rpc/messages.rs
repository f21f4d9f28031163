use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use prost::Message;
use tonic::Status;

/// Largest message taken; what the store takes is less, and its error is better.
const MAX_MESSAGE: usize = 64 << 20;

/// Before each message: whether it is compressed, and its length.
pub(super) const PREFIX: usize = 5;

/// The messages that a client sends in one call.
pub(in super::super) struct Messages {
    body: h2::RecvStream,
    read: BytesMut,
}

impl Messages {
    pub(in super::super) fn new(body: h2::RecvStream) -> Self {
        Self { body, read: BytesMut::new() }
    }

    /// The only message of a call.
    pub(super) async fn only<M: Message + Default>(&mut self) -> Result<M, Status> {
        let first = self.body.data().await;
        if let Some(Ok(data)) = &first
            && let Some(length) = length(data)?
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
            if let Some(length) = length(&self.read)?
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
fn length(bytes: &[u8]) -> Result<Option<usize>, Status> {
    let Some([compressed, length @ ..]) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    match compressed {
        0 if length > MAX_MESSAGE => Err(Status::out_of_range(format!(
            "Error, decoded message length too large: found {length} bytes, the limit is: {MAX_MESSAGE} bytes"
        ))),
        0 => Ok(Some(length)),
        _ => Err(Status::unimplemented("compressed messages are not taken")),
    }
}
