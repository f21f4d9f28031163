//! Giving back space: moving what is needed out of all segments but new ones, whatever it costs.

use std::io;

use super::LogEngine;
use super::clean::PACE;
use crate::engine::Batch;

/// Most bytes that are looked at between two commits of others.
const STEP: usize = 1 << 20;

impl LogEngine {
    /// Does a part of it; answers whether there is more to do.
    pub(super) fn shrink_more(&mut self) -> io::Result<bool> {
        if self.shrinking.is_none() {
            let needed = self.directory.bytes();
            // A little is not worth moving everything.
            if self.used() <= needed + needed / 8 + u64::from(self.sizes.least / 16) {
                return Ok(false);
            }
            // Taken together with what the current segment holds, which is followed by a new one.
            self.shrinking = Some(self.current);
            self.guarded(|log| log.roll(0))?;
        }
        // What is moved at once is little beside a segment, or much would be left empty at the ends of these.
        let capacity = self.extents.get(&self.current).map_or(0, |extent| extent.capacity as usize);
        self.guarded(|log| log.advance(&Batch::default(), STEP.min(capacity / 16) / PACE))?;
        let oldest = self.extents.keys().next().copied();
        if oldest <= self.shrinking {
            return Ok(true);
        }
        self.shrinking = None;
        if let Some(spare) = self.retired.take() {
            self.disk.remove(spare)?;
        }
        Ok(false)
    }
}
