//! A vector in shared chunks: cloning is one reference count, a write after a clone copies one chunk.

use std::sync::Arc;

const BITS: usize = 6;
const CHUNK: usize = 1 << BITS;

/// A copy-on-write column of values, one per node slot.
#[derive(Debug)]
pub(crate) struct Column<T> {
    chunks: Arc<Vec<Arc<Vec<T>>>>,
    len: usize,
}

impl<T> Clone for Column<T> {
    fn clone(&self) -> Self {
        Self { chunks: Arc::clone(&self.chunks), len: self.len }
    }
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self { chunks: Arc::default(), len: 0 }
    }
}

impl<T: Clone + Default> Column<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index >> BITS)?.get(index & (CHUNK - 1))
    }

    /// The value at `index`, or the default outside the column.
    #[inline]
    pub(crate) fn at(&self, index: usize) -> T
    where
        T: Copy,
    {
        self.get(index).copied().unwrap_or_default()
    }

    /// The values, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).take(self.len)
    }

    /// The value at `index` for writing; the column grows with defaults as needed.
    pub(crate) fn make_mut(&mut self, index: usize) -> &mut T {
        let chunks = Arc::make_mut(&mut self.chunks);
        while chunks.len() <= index >> BITS {
            chunks.push(Arc::new(vec![T::default(); CHUNK]));
        }
        self.len = self.len.max(index + 1);
        &mut Arc::make_mut(&mut chunks[index >> BITS])[index & (CHUNK - 1)]
    }

    pub(crate) fn push(&mut self, value: T) {
        *self.make_mut(self.len) = value;
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let last = self.len.checked_sub(1)?;
        let value = std::mem::take(self.make_mut(last));
        self.len = last;
        Some(value)
    }
}
