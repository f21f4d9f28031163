//! When to look for what nobody has any more.

/// Says that it is time when there is a quarter more than there was left the last time.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    at: usize,
}

impl Sweep {
    /// Less than this is not worth while.
    pub(super) const FIRST: usize = 256;

    /// Whether so many are enough.
    pub(super) fn is_due(&self, size: usize) -> bool {
        size >= self.at.max(Self::FIRST)
    }

    /// So many are left.
    pub(super) fn done(&mut self, left: usize) {
        self.at = left + left / 4;
    }
}
