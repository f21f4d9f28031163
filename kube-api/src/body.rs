//! Bodies of answers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http_body::{Frame, SizeHint};

type Chunks = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// The body of an answer: shared chunks that are known, or a stream of them.
pub struct Body(Inner);

enum Inner {
    Known(VecDeque<Bytes>),
    Stream(Chunks),
}

impl Body {
    /// Nothing.
    pub fn empty() -> Self {
        Self(Inner::Known(VecDeque::new()))
    }

    /// The chunks one after another.
    pub(crate) fn chunks(chunks: impl IntoIterator<Item = Bytes>) -> Self {
        Self(Inner::Known(chunks.into_iter().filter(|c| !c.is_empty()).collect()))
    }

    /// Whatever the stream gives, until it ends.
    pub fn stream(stream: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self(Inner::Stream(Box::pin(stream)))
    }

    /// The bytes, unless it is a stream.
    pub(crate) fn known(&self) -> Option<&VecDeque<Bytes>> {
        match &self.0 {
            Inner::Known(chunks) => Some(chunks),
            Inner::Stream(_) => None,
        }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::chunks([bytes.into()])
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.known().is_some() { "known" } else { "stream" };
        f.debug_tuple("Body").field(&kind).finish()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Inner::Known(chunks) => Poll::Ready(chunks.pop_front().map(|c| Ok(Frame::data(c)))),
            Inner::Stream(stream) => stream.as_mut().poll_next(cx).map(|c| c.map(|c| Ok(Frame::data(c)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.known().is_some_and(VecDeque::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        self.known().map_or_else(SizeHint::default, |chunks| {
            SizeHint::with_exact(chunks.iter().map(|c| c.len() as u64).sum())
        })
    }
}
