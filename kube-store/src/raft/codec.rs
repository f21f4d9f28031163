//! Reading and writing our own records: fixed-size big-endian numbers, byte strings with their length before them.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{Error, Result};

/// Appends fields to a buffer.
#[derive(Debug, Default)]
pub(super) struct Writer(BytesMut);

impl Writer {
    pub(super) fn u8(&mut self, n: u8) {
        self.0.put_u8(n);
    }

    pub(super) fn u32(&mut self, n: u32) {
        self.0.put_u32(n);
    }

    pub(super) fn u64(&mut self, n: u64) {
        self.0.put_u64(n);
    }

    pub(super) fn i64(&mut self, n: i64) {
        self.0.put_i64(n);
    }

    pub(super) fn bool(&mut self, b: bool) {
        self.0.put_u8(b.into());
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.len(bytes.len());
        self.0.put_slice(bytes);
    }

    /// The number of things that follow; whatever is encoded was bounded before.
    pub(super) fn len(&mut self, n: usize) {
        self.0.put_u32(u32::try_from(n).unwrap_or(u32::MAX));
    }

    pub(super) fn list<T>(&mut self, items: &[T], mut one: impl FnMut(&mut Self, &T)) {
        self.len(items.len());
        items.iter().for_each(|item| one(self, item));
    }

    pub(super) fn finish(self) -> Bytes {
        self.0.freeze()
    }

    /// The buffer with its checksum behind it.
    pub(super) fn sealed(mut self) -> Bytes {
        let sum = crc32fast::hash(&self.0);
        self.u32(sum);
        self.finish()
    }
}

/// Takes fields off the front of a buffer; the byte strings it gives share the buffer.
#[derive(Debug, Clone)]
pub(super) struct Reader(Bytes);

impl Reader {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Reads what [`Writer::sealed`] wrote; refuses a wrong checksum.
    pub(super) fn unsealed(bytes: Bytes) -> Result<Self> {
        Self::unsealed_behind(&[], bytes)
    }

    /// The same when the checksum is also that of what stands before.
    pub(super) fn unsealed_behind(before: &[u8], mut bytes: Bytes) -> Result<Self> {
        let at = bytes.len().checked_sub(4).ok_or_else(damaged)?;
        let expected = bytes.split_off(at).get_u32();
        let mut sum = crc32fast::Hasher::new();
        sum.update(before);
        sum.update(&bytes);
        if sum.finalize() == expected { Ok(Self(bytes)) } else { Err(damaged()) }
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.0.try_get_u8().map_err(|_| damaged())
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.0.try_get_u32().map_err(|_| damaged())
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.0.try_get_u64().map_err(|_| damaged())
    }

    pub(super) fn i64(&mut self) -> Result<i64> {
        self.0.try_get_i64().map_err(|_| damaged())
    }

    pub(super) fn bool(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(damaged()),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes> {
        let length = self.u32()? as usize;
        if length > self.0.len() {
            return Err(damaged());
        }
        Ok(self.0.split_to(length))
    }

    pub(super) fn text(&mut self) -> Result<String> {
        String::from_utf8(self.bytes()?.into()).map_err(|_| damaged())
    }

    /// A list; its length is not believed before its items are there.
    pub(super) fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let length = self.u32()?;
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(one(self)?);
        }
        Ok(items)
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.0)
    }

    /// Refuses what follows a record.
    pub(super) fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(damaged()) }
    }
}

/// The error for a record that is not what was written.
pub(super) fn damaged() -> Error {
    Error::corrupt("a replicated record is damaged")
}
