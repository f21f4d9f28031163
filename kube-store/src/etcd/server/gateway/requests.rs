//! What a client sends, as gRPC has it.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tonic::Status;
use tonic::body::Body;

use super::super::metrics::Flow;
use super::super::rpc::{PREFIX, too_large};
use super::schema::{Message, Method};
use super::to_wire::encode;
use super::values::Values;

/// The requests in one body.
pub(super) struct Requests {
    body: Body,
    values: Values,
    message: &'static Message,
    /// Most bytes of one, as gRPC has it.
    largest: usize,
    flow: Option<Arc<Flow>>,
}

/// Most characters that are said of a request that makes no sense; a text in place of an object would be repeated.
const WORDS: usize = 256;

fn nonsense(error: &serde_json::Error) -> Status {
    Status::invalid_argument(error.to_string().chars().take(WORDS).collect::<String>())
}

/// How much larger a request may be as JSON: base64 takes a third more, names and numbers some.
const SPACE: usize = 2;

impl Requests {
    pub(super) fn new(body: Body, method: &Method, largest: usize, flow: Option<Arc<Flow>>) -> Self {
        let values = Values::new(largest.saturating_mul(SPACE));
        Self { body, values, message: method.request, largest, flow }
    }

    /// The only one; an empty body is one in which nothing is said.
    pub(super) async fn only(mut self) -> Result<Body, Status> {
        let request = match self.next().await? {
            Some(request) => request,
            None => self.framed(b"null")?,
        };
        Ok(Body::new(http_body_util::Full::new(request)))
    }

    /// All of them. The first is waited for, so that one that makes no sense can be told; a later one only ends the stream, as in
    /// etcd.
    pub(super) async fn all(mut self) -> Result<Body, Status> {
        // In etcd this is an error that has no code.
        let first = self.next().await.map_err(|status| Status::unknown(status.message()))?;
        let more = first.is_some();
        let requests = stream::iter(first).chain(self.rest().take_while(move |_| async move { more }));
        Ok(Body::new(StreamBody::new(requests.map(|request| Ok::<_, Status>(Frame::data(request))))))
    }

    fn rest(self) -> impl Stream<Item = Bytes> + Send {
        stream::unfold(self, |mut requests| async {
            let request = requests.next().await.ok().flatten()?;
            Some((request, requests))
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(text) = self.values.next()? {
                return self.framed(&text).map(Some);
            }
            match self.body.frame().await.transpose()? {
                Some(frame) => frame.into_data().iter().for_each(|data| self.values.push(data)),
                None => return self.values.last()?.map(|text| self.framed(&text)).transpose(),
            }
        }
    }

    fn framed(&self, text: &[u8]) -> Result<Bytes, Status> {
        let mut request = vec![0; PREFIX];
        encode(self.message, text, &mut request).map_err(|error| nonsense(&error))?;
        let length = request.len() - PREFIX;
        if length > self.largest {
            return Err(too_large(length, self.largest));
        }
        if let Some(prefix) = request.get_mut(1..PREFIX) {
            prefix.copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        }
        self.flow.iter().for_each(|flow| flow.received.add(1));
        Ok(request.into())
    }
}
