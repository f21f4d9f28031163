//! Messages: a fixed header and attributes, which are type-length-value triples that may nest.

/// Flags of a message header (`NLM_F_*`).
pub(crate) mod flags {
    pub(crate) const REQUEST: u16 = 0x01;
    pub(crate) const ACK: u16 = 0x04;
    pub(crate) const DUMP: u16 = 0x300;
    pub(crate) const CREATE: u16 = 0x400;
    pub(crate) const APPEND: u16 = 0x800;
}

/// `nlmsghdr` and `nfgenmsg`.
const HEADER: usize = 20;
const NESTED: u16 = 1 << 15;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

/// What a message is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    /// Subsystem in the high byte, operation in the low byte.
    pub(crate) kind: u16,
    /// From [`flags`]; `REQUEST` is always set.
    pub(crate) flags: u16,
    /// `NFPROTO_*`.
    pub(crate) family: u8,
}

/// Writes attributes at the end of a message.
#[derive(Debug)]
pub(crate) struct Attributes<'a>(&'a mut Vec<u8>);

impl<'a> Attributes<'a> {
    pub(crate) fn new(buffer: &'a mut Vec<u8>) -> Self {
        Self(buffer)
    }

    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) {
        let start = self.open(kind);
        self.0.extend_from_slice(value);
        self.close(start);
    }

    /// A string with its terminating zero.
    pub(crate) fn string(&mut self, kind: u16, value: &str) {
        let start = self.open(kind);
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(0);
        self.close(start);
    }

    /// Netfilter's numbers are in network byte order.
    pub(crate) fn number(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    pub(crate) fn long(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_be_bytes());
    }

    pub(crate) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.open(kind | NESTED);
        fill(&mut Attributes(self.0));
        self.close(start);
    }

    /// Attributes that are encoded already.
    pub(crate) fn raw(&mut self, encoded: &[u8]) {
        self.0.extend_from_slice(encoded);
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.0.len();
        self.0.extend_from_slice(&[0, 0]);
        self.0.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    /// Lengths do not count the padding to four bytes. Callers keep an attribute under 64 KiB.
    fn close(&mut self, start: usize) {
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}

/// Messages that are sent together; between [`Batch::transaction`] and [`Batch::finish`] they take effect together.
#[derive(Debug)]
pub(crate) struct Batch {
    buffer: Vec<u8>,
    count: u32,
    last: usize,
    subsystem: Option<u16>,
}

impl Batch {
    /// One or more messages of their own.
    pub(crate) fn plain() -> Self {
        Self { buffer: Vec::new(), count: 0, last: 0, subsystem: None }
    }

    /// All or nothing, within one netfilter subsystem.
    pub(crate) fn transaction(subsystem: u16) -> Self {
        let mut batch = Self::plain();
        batch.subsystem = Some(subsystem);
        batch.mark(BATCH_BEGIN, subsystem);
        batch
    }

    /// Adds a message.
    pub(crate) fn message(&mut self, header: Header, fill: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.open(header, 0);
        fill(&mut Attributes(&mut self.buffer));
        self.close(start);
    }

    /// The number of messages so far, markers included.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The bytes to send and the number of the message that is acknowledged last.
    pub(crate) fn finish(mut self) -> (Vec<u8>, u32) {
        let last = self.last;
        let number = self.count.saturating_sub(1);
        if let Some(field) = self.buffer.get_mut(last + 6..last + 8) {
            field.copy_from_slice(
                &(flags::REQUEST | flags::ACK | u16::from_ne_bytes([field[0], field[1]])).to_ne_bytes(),
            );
        }
        if let Some(subsystem) = self.subsystem {
            self.mark(BATCH_END, subsystem);
        }
        (self.buffer, number)
    }

    fn mark(&mut self, kind: u16, subsystem: u16) {
        let header = Header { kind, flags: 0, family: 0 };
        let start = self.open(header, subsystem);
        self.close(start);
    }

    fn open(&mut self, header: Header, resource: u16) -> usize {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(&header.kind.to_ne_bytes());
        self.buffer.extend_from_slice(&(header.flags | flags::REQUEST).to_ne_bytes());
        self.buffer.extend_from_slice(&self.count.to_ne_bytes());
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(&[header.family, 0]);
        self.buffer.extend_from_slice(&resource.to_be_bytes());
        self.last = start;
        self.count += 1;
        start
    }

    fn close(&mut self, start: usize) {
        debug_assert!(self.buffer.len() >= start + HEADER);
        let length = u32::try_from(self.buffer.len() - start).unwrap_or(u32::MAX);
        self.buffer[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}
