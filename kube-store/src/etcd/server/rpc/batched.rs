use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that wait for others before they are written.
const MOST: usize = 128 << 10;
/// Memory that a connection keeps when it has nothing to do.
const KEPT: usize = 16 << 10;

/// A connection that writes when it is told by [`Writing`], or when much waits. HTTP/2 asks for each of its frames to be written at
/// once, and a frame is small beside what the kernel takes in one call.
pub(super) struct Batched<C>(Arc<Mutex<Inner<C>>>);

/// Writes what a [`Batched`] holds.
pub(super) struct Writing<C>(Arc<Mutex<Inner<C>>>);

struct Inner<C> {
    connection: C,
    waiting: Vec<u8>,
    written: usize,
}

/// A connection, and what makes it write.
pub(super) fn batched<C>(connection: C) -> (Batched<C>, Writing<C>) {
    let inner = Arc::new(Mutex::new(Inner { connection, waiting: Vec::new(), written: 0 }));
    (Batched(inner.clone()), Writing(inner))
}

impl<C: AsyncWrite + Unpin> Inner<C> {
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.waiting.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.connection).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.waiting.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Waits until there is room for more.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waiting.len() < MOST { Poll::Ready(Ok(())) } else { self.poll_write_out(cx) }
    }
}

impl<C: AsyncWrite + Unpin> Writing<C> {
    /// Writes everything.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        ready!(inner.poll_write_out(cx))?;
        Pin::new(&mut inner.connection).poll_flush(cx)
    }

    /// Gives back memory that was needed for much at once.
    pub(super) fn rest(&self) {
        let mut inner = self.0.lock();
        if inner.waiting.is_empty() {
            inner.waiting.shrink_to(KEPT);
        }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Batched<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().connection).poll_read(cx, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Batched<C> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        ready!(inner.poll_room(cx))?;
        inner.waiting.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        ready!(inner.poll_room(cx))?;
        buffers.iter().for_each(|buffer| inner.waiting.extend_from_slice(buffer));
        Poll::Ready(Ok(buffers.iter().map(|buffer| buffer.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: [`Writing`] does it once for many frames.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        ready!(inner.poll_write_out(cx))?;
        Pin::new(&mut inner.connection).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_is_written_is_sent_when_that_is_asked_for() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut batched, writing) = batched(near);
        batched.write_all(b"one").await.unwrap();
        batched.flush().await.unwrap();
        batched.write_all(b"two").await.unwrap();
        let mut read = [0; 6];
        assert!(futures::poll!(std::pin::pin!(far.read(&mut read))).is_pending(), "it waits for more");
        poll_fn(|cx| writing.poll_flush(cx)).await.unwrap();
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"onetwo");
    }

    #[tokio::test]
    async fn much_is_not_held_back() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut batched, writing) = batched(near);
        let all = vec![7; 3 * MOST];
        for part in all.chunks(MOST / 4) {
            batched.write_all(part).await.unwrap();
        }
        let mut read = vec![0; 2 * MOST];
        far.read_exact(&mut read).await.unwrap();
        batched.shutdown().await.unwrap();
        read.clear();
        far.read_to_end(&mut read).await.unwrap();
        assert_eq!(read.len(), MOST);
        writing.rest();
        assert!(writing.0.lock().waiting.capacity() <= KEPT);
    }
}
