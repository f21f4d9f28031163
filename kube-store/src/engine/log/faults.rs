//! Ends the life of a log at any step.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

/// How many steps a log may still do. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    steps: usize,
    left: Option<usize>,
    /// How much of the last write happens, in tenths.
    tenths: usize,
}

impl Faults {
    /// Lets `steps` more steps happen, and `tenths` tenths of the write after them.
    pub(super) fn stop_after(&self, steps: usize, tenths: usize) {
        *self.0.lock() = State { steps: 0, left: Some(steps), tenths };
    }

    /// Lets all be done again.
    pub(super) fn repair(&self) {
        self.0.lock().left = None;
    }

    /// Steps done since they were counted last.
    pub(super) fn steps(&self) -> usize {
        self.0.lock().steps
    }

    /// How much of a write of `length` bytes happens, when not all of it does.
    pub(super) fn cut(&self, length: usize) -> Option<usize> {
        let mut state = self.0.lock();
        let Some(left) = &mut state.left else {
            state.steps += 1;
            return None;
        };
        if let Some(less) = left.checked_sub(1) {
            *left = less;
            state.steps += 1;
            return None;
        }
        Some(length * std::mem::take(&mut state.tenths) / 10)
    }

    pub(super) fn error() -> io::Error {
        io::ErrorKind::StorageFull.into()
    }
}
