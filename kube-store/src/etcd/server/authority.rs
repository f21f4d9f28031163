//! Tolerates an authority that HTTP/2 forbids.
//!
//! etcdctl 3.4 sends the whole endpoint, as `http://127.0.0.1:2379`, or the path of a socket for an authority. An HTTP/2 server has
//! to refuse that, and the one below us does, before any service sees the request. So the bytes are mended on their way in: such an
//! authority becomes a word that takes exactly as much room, in plain whether or not it came in Huffman coding (RFC 7541, appendix
//! B), so that no length changes and nothing has to be encoded anew. Nobody looks at the authority later.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use super::certified::Certified;
use super::metrics::Traffic;

/// What a client that speaks HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Length, kind, flags and stream before each frame.
const FRAME_HEAD: usize = 9;

/// Largest frame that is held back to be mended; a client may not send larger ones unasked.
const MAX_HELD: usize = 1 << 14;

const HEADERS: u8 = 1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// A connection whose requests are mended while they are read. A client whose first request needs no mending is left alone
/// from then on.
#[derive(Debug)]
pub(crate) struct Tolerant<C> {
    inner: C,
    certified: Certified,
    traffic: Arc<Traffic>,
    /// Read and not yet handed on: first what is ready, then a frame that is not complete.
    held: Vec<u8>,
    ready: usize,
    scan: Scan,
}

/// Where in the client's bytes the scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    Preface,
    /// So many bytes of a frame that is not looked at are still to come.
    Frames {
        skip: usize,
    },
    /// There is nothing to mend.
    Off,
}

impl<C> Tolerant<C> {
    pub(super) fn new(inner: C, certified: Certified, traffic: Arc<Traffic>) -> Self {
        Self { inner, certified, traffic, held: Vec::new(), ready: 0, scan: Scan::Preface }
    }

    /// Who is at the other end.
    pub(super) fn certified(&self) -> &Certified {
        &self.certified
    }

    fn count_sent(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.traffic.sent.add(*bytes as u64);
        }
    }

    /// Looks at what is held beyond what is ready.
    fn advance(&mut self) {
        loop {
            let rest = self.held.get_mut(self.ready..).unwrap_or_default();
            let (taken, next) = step(self.scan, rest);
            self.ready += taken;
            let stuck = taken == 0 && next == self.scan;
            self.scan = next;
            if stuck || self.ready == self.held.len() {
                return;
            }
        }
    }

    fn hand_out(&mut self, buffer: &mut ReadBuf<'_>) {
        let amount = self.ready.min(buffer.remaining());
        buffer.put_slice(self.held.get(..amount).unwrap_or_default());
        self.held.drain(..amount);
        self.ready -= amount;
    }
}

/// Takes a step through the client's bytes; answers how many of them are ready, and where it is then.
fn step(scan: Scan, bytes: &mut [u8]) -> (usize, Scan) {
    match scan {
        Scan::Off => (bytes.len(), Scan::Off),
        Scan::Preface if bytes.starts_with(PREFACE) => (PREFACE.len(), Scan::Frames { skip: 0 }),
        Scan::Preface if PREFACE.starts_with(bytes) => (0, Scan::Preface),
        Scan::Preface => (bytes.len(), Scan::Off),
        Scan::Frames { skip: 0 } => frame(bytes),
        Scan::Frames { skip } => {
            let taken = skip.min(bytes.len());
            (taken, Scan::Frames { skip: skip - taken })
        }
    }
}

/// Looks at a frame from its start.
fn frame(bytes: &mut [u8]) -> (usize, Scan) {
    let Some(([high, middle, low, kind, flags, ..], payload)) = bytes.split_first_chunk_mut::<FRAME_HEAD>()
    else {
        return (0, Scan::Frames { skip: 0 });
    };
    let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
    if *kind != HEADERS || length > MAX_HELD {
        return (FRAME_HEAD, Scan::Frames { skip: length });
    }
    let Some(payload) = payload.get_mut(..length) else { return (0, Scan::Frames { skip: 0 }) };
    let mended = block(payload, *flags).is_some_and(mend);
    (FRAME_HEAD + length, if mended { Scan::Frames { skip: 0 } } else { Scan::Off })
}

/// The compressed fields within a frame of headers.
fn block(payload: &mut [u8], flags: u8) -> Option<&mut [u8]> {
    let padded = flags & PADDED != 0;
    let padding = if padded { usize::from(*payload.first()?) } else { 0 };
    let start = usize::from(padded) + if flags & PRIORITY != 0 { 5 } else { 0 };
    let end = payload.len().checked_sub(padding)?;
    payload.get_mut(start..end)
}

/// Mends the authority among the fields of a block; answers whether it had to.
fn mend(block: &mut [u8]) -> bool {
    let mut at = 0;
    let mut mended = false;
    while let Some(field) = field(block, at) {
        if let (Some(value), true) = (field.value, field.is_authority) {
            mended |= mend_value(block, value);
        }
        at = field.end;
    }
    mended
}

struct Field {
    is_authority: bool,
    value: Option<Text>,
    end: usize,
}

#[derive(Clone, Copy)]
struct Text {
    /// Where its length is.
    head: usize,
    start: usize,
    end: usize,
    huffman: bool,
}

/// Reads the field at `at`; `None` at the end, or where the block makes no sense (which the server below will say).
fn field(block: &[u8], at: usize) -> Option<Field> {
    /// Number of `:authority` in the static table.
    const AUTHORITY: usize = 1;
    let first = *block.get(at)?;
    let (bits, literal) = match first {
        0x80.. => (7, false),
        0x40..0x80 => (6, true),
        0x20..0x40 => (5, false),
        0..0x20 => (4, true),
    };
    let (name, mut end) = integer(block, at, bits)?;
    if !literal {
        return Some(Field { is_authority: false, value: None, end });
    }
    if name == 0 {
        end = text(block, end)?.end;
    }
    let value = text(block, end)?;
    Some(Field { is_authority: name == AUTHORITY, value: Some(value), end: value.end })
}

fn text(block: &[u8], at: usize) -> Option<Text> {
    let huffman = *block.get(at)? & 0x80 != 0;
    let (length, start) = integer(block, at, 7)?;
    let end = start.checked_add(length).filter(|end| *end <= block.len())?;
    Some(Text { head: at, start, end, huffman })
}

/// A number whose first byte has `bits` bits of it (RFC 7541, 5.1); answers it and where it ends.
fn integer(block: &[u8], at: usize, bits: u32) -> Option<(usize, usize)> {
    let mask = (1usize << bits) - 1;
    let mut number = usize::from(*block.get(at)?) & mask;
    let mut end = at + 1;
    if number < mask {
        return Some((number, end));
    }
    for shift in [0, 7, 14, 21] {
        let byte = *block.get(end)?;
        end += 1;
        number += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((number, end));
        }
    }
    None
}

/// How an authority begins that is none.
const WRONG: [&[u8]; 5] = [b"http:/", b"https:/", b"unix:/", b"unixs:/", b"/"];

/// The same in Huffman coding, and how many bits these are: `h` 100111, `t` 01001, `p` 101011, `s` 01000, `u` 101101, `n` 101010, `i`
/// 00110, `x` 1111001, `:` 1011100, `/` 011000.
#[expect(clippy::unusual_byte_groupings, reason = "each group is a character")]
const WRONG_CODED: [(u64, u32); 5] = [
    (0b100111_01001_01001_101011_1011100_011000, 35),
    (0b100111_01001_01001_101011_01000_1011100_011000, 40),
    (0b101101_101010_00110_1111001_1011100_011000, 37),
    (0b101101_101010_00110_1111001_01000_1011100_011000, 42),
    (0b011000, 6),
];

/// Marks that a text is in Huffman coding, beside its length.
const HUFFMAN: u8 = 0x80;

/// Replaces what is no authority; answers whether it was none.
fn mend_value(block: &mut [u8], text: Text) -> bool {
    let value = block.get(text.start..text.end).unwrap_or_default();
    let wrong = if text.huffman { is_wrong_coded(value) } else { WRONG.iter().any(|w| value.starts_with(w)) };
    if wrong
        && let Some(([head, ..], rest)) =
            block.get_mut(text.head..text.end).map(|all| all.split_at_mut(text.start - text.head))
    {
        *head &= !HUFFMAN;
        rest.fill(b'a');
    }
    wrong
}

fn is_wrong_coded(value: &[u8]) -> bool {
    let mut first = [0xff; 8];
    first.iter_mut().zip(value).for_each(|(byte, given)| *byte = *given);
    let word = u64::from_be_bytes(first);
    WRONG_CODED.iter().any(|(wrong, bits)| word >> (64 - bits) == *wrong)
}

impl<C> Connected for Tolerant<C> {
    type ConnectInfo = Certified;

    fn connect_info(&self) -> Certified {
        self.certified.clone()
    }
}

impl<C: AsyncRead + Unpin> Tolerant<C> {
    /// Whether the client speaks HTTP/2, as what it sends first says; waits for that.
    pub(super) async fn speaks_http2(&mut self) -> io::Result<bool> {
        while self.held.len() < PREFACE.len() && PREFACE.starts_with(&self.held) {
            if !poll_fn(|cx| self.poll_hold(cx)).await? {
                break;
            }
        }
        Ok(self.held.starts_with(PREFACE))
    }

    /// Reads more of what is held back; answers whether there was any.
    fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut chunk = [0; 8192];
        let mut read = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut read))?;
        if read.filled().is_empty() {
            // The client has ended: what is held is all there will be.
            self.scan = Scan::Off;
            self.ready = self.held.len();
            return Poll::Ready(Ok(false));
        }
        self.held.extend_from_slice(read.filled());
        self.traffic.received.add(read.filled().len() as u64);
        self.advance();
        Poll::Ready(Ok(true))
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Tolerant<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.ready == 0 {
            if this.scan == Scan::Off && this.held.is_empty() {
                let before = buffer.filled().len();
                let read = Pin::new(&mut this.inner).poll_read(cx, buffer);
                this.traffic.received.add((buffer.filled().len() - before) as u64);
                return read;
            }
            if !ready!(this.poll_hold(cx))? {
                break;
            }
        }
        this.hand_out(buffer);
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Tolerant<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.count_sent(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.count_sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// A frame of headers with these fields.
    fn headers(block: &[u8]) -> Vec<u8> {
        let length = u32::try_from(block.len()).unwrap().to_be_bytes();
        [&length[1..], &[HEADERS, 4, 0, 0, 0, 1], block].concat()
    }

    /// `:method` by its number, then `:authority` with this value.
    fn authority(value: &[u8], huffman: bool) -> Vec<u8> {
        let length = u8::try_from(value.len()).unwrap() | if huffman { 0x80 } else { 0 };
        headers(&[&[0x83, 0x41, length], value].concat())
    }

    /// What comes out of a connection that brings `bytes` in pieces of `size`.
    async fn through(bytes: &[u8], size: usize) -> Vec<u8> {
        let mut connection =
            Tolerant::new(Pieces { bytes: bytes.to_vec(), size }, Certified::default(), Arc::default());
        let mut out = Vec::new();
        connection.read_to_end(&mut out).await.unwrap();
        out
    }

    /// A connection whose reads give at most `size` bytes.
    struct Pieces {
        bytes: Vec<u8>,
        size: usize,
    }

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let amount = self.size.min(self.bytes.len()).min(buffer.remaining());
            let piece: Vec<u8> = self.bytes.drain(..amount).collect();
            buffer.put_slice(&piece);
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn an_authority_with_a_scheme_becomes_one_without() {
        let other = [&[0, 0, 3, 0, 0, 0, 0, 0, 1][..], b"abc"].concat();
        for (value, wanted) in [
            ("http://127.0.0.1:2379", "aaaaaaaaaaaaaaaaaaaaa"),
            ("https://h", "aaaaaaaaa"),
            ("/run/a", "aaaaaa"),
        ] {
            let sent = [PREFACE, &other, &authority(value.as_bytes(), false), &other].concat();
            let wanted = [PREFACE, &other, &authority(wanted.as_bytes(), false), &other].concat();
            for size in [1, 7, 1000] {
                assert_eq!(through(&sent, size).await, wanted, "in pieces of {size}");
            }
        }
    }

    #[tokio::test]
    async fn whatever_else_passes_as_it_is() {
        let sane =
            [PREFACE, &authority(b"127.0.0.1:2379", false), &authority(b"http://later", false)].concat();
        let broken = [PREFACE, &headers(&[0x41, 0xff, 0xff, 0xff, 0xff, 0xff])].concat();
        let cut = [PREFACE, authority(b"http://x", false).get(..14).unwrap()].concat();
        for bytes in
            [&sane[..], &broken, &cut, b"GET /health HTTP/1.1\r\n\r\n", b"PRI * HT", b"", b"\x16\x03\x01"]
        {
            for size in [1, 1000] {
                assert_eq!(through(bytes, size).await, bytes);
            }
        }
    }

    #[tokio::test]
    async fn what_comes_first_says_which_protocol_it_is() {
        let preface = [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
        for (bytes, http2) in
            [(&preface[..], true), (b"POST / HTTP/1.1\r\n\r\n", false), (b"PRI * HT", false)]
        {
            for size in [1, 1000] {
                let mut connection = Tolerant::new(
                    Pieces { bytes: bytes.to_vec(), size },
                    Certified::default(),
                    Arc::default(),
                );
                assert_eq!(connection.speaks_http2().await.unwrap(), http2);
                let mut rest = Vec::new();
                connection.read_to_end(&mut rest).await.unwrap();
                assert_eq!(rest, bytes, "nothing is lost by looking");
            }
        }
    }

    #[tokio::test]
    async fn huffman_coded_authorities_keep_their_length() {
        for (wrong, bits) in WRONG_CODED {
            // What follows is open; ones, which fill the last byte, are as good as anything.
            let coded = (wrong << (64 - bits) | u64::MAX >> bits).to_be_bytes();
            let wanted = [PREFACE, &authority(b"aaaaaaaa", false)].concat();
            assert_eq!(through(&[PREFACE, &authority(&coded, true)].concat(), 1000).await, wanted);
        }
        // `/a`: 011000 00011, and ones.
        let short = [0b0110_0000, 0b0111_1111];
        let wanted = [PREFACE, &authority(b"aa", false)].concat();
        assert_eq!(through(&[PREFACE, &authority(&short, true)].concat(), 1).await, wanted);
        // `127.0.0.1` as RFC 7541 codes its digits, and `host`: 100111 00111 01000 01001.
        for sane in
            [&[0x08, 0x9d, 0x5c, 0x0b, 0x81, 0x70, 0xff][..], &[0b1001_1100, 0b1110_1000, 0b0100_1111]]
        {
            let sent = [PREFACE, &authority(sane, true)].concat();
            assert_eq!(through(&sent, 1000).await, sent);
        }
    }
}
