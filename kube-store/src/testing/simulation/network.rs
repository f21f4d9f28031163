//! What becomes of a frame on its way.

use std::collections::BTreeSet;

use bytes::Bytes;
use fastrand::Rng;

/// The network, with the faults it has now.
#[derive(Debug, Default)]
pub(super) struct Network {
    /// Directions in which nothing arrives.
    cut: BTreeSet<(u64, u64)>,
    /// Of a thousand frames, how many are lost.
    pub(super) loss: u16,
    /// Longest ordinary delay, in milliseconds.
    pub(super) delay: u64,
}

impl Network {
    pub(super) fn heal(&mut self) {
        *self = Self { delay: 10, ..Self::default() };
    }

    /// Lets nothing pass from one member to another.
    pub(super) fn cut(&mut self, from: u64, to: u64) {
        self.cut.insert((from, to));
    }

    /// When each copy of a frame arrives, in milliseconds from now, and as what.
    pub(super) fn send(&self, from: u64, to: u64, frame: &Bytes, rng: &mut Rng) -> Vec<(u64, Bytes)> {
        if self.cut.contains(&(from, to)) || rng.u16(..1000) < self.loss {
            return Vec::new();
        }
        let copies = if rng.u8(..20) == 0 { 2 } else { 1 };
        (0..copies)
            .map(|_| {
                // Now and then one is late by more than an election takes.
                let late = if rng.u16(..200) == 0 { 600 } else { 0 };
                (1 + late + rng.u64(..self.delay.max(1)), damaged_by_chance(frame, rng))
            })
            .collect()
    }
}

fn damaged_by_chance(frame: &Bytes, rng: &mut Rng) -> Bytes {
    if rng.u16(..500) > 0 {
        return frame.clone();
    }
    let mut bytes = frame.to_vec();
    let at = rng.usize(..bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << rng.u8(..8);
    }
    bytes.into()
}
