//! Frames that wait to be sent to one member.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Bytes of frames sent at once, unless a single frame is larger.
const BATCH: usize = 1 << 20;

/// A queue that drops its oldest frames when it is full, and never keeps a sender waiting.
#[derive(Debug)]
pub(super) struct Lane {
    waiting: Mutex<Waiting>,
    more: Notify,
    most_bytes: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Bytes>,
    bytes: usize,
}

impl Lane {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { waiting: Mutex::default(), more: Notify::new(), most_bytes }
    }

    pub(super) fn push(&self, frame: Bytes) {
        let mut waiting = self.waiting.lock();
        waiting.bytes += frame.len();
        waiting.frames.push_back(frame);
        while waiting.bytes > self.most_bytes
            && let Some(oldest) = waiting.frames.pop_front()
        {
            waiting.bytes -= oldest.len();
        }
        drop(waiting);
        self.more.notify_one();
    }

    /// Drops everything: nobody is there who could take it.
    pub(super) fn clear(&self) {
        *self.waiting.lock() = Waiting::default();
    }

    /// Waits until there is something to send.
    pub(super) async fn wait(&self) {
        while self.waiting.lock().frames.is_empty() {
            self.more.notified().await;
        }
    }

    /// Takes the next frames, at least one; only one task takes.
    pub(super) async fn take(&self) -> Vec<Bytes> {
        loop {
            self.wait().await;
            let taken = self.waiting.lock().take();
            if !taken.is_empty() {
                return taken;
            }
        }
    }
}

impl Waiting {
    fn take(&mut self) -> Vec<Bytes> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(frame) = self.frames.front()
            && (taken.is_empty() || bytes + frame.len() <= BATCH)
        {
            bytes += frame.len();
            taken.extend(self.frames.pop_front());
        }
        self.bytes -= bytes;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_make_room_and_batches_are_bounded() {
        let lane = Lane::new(2 * BATCH);
        (0..5u8).for_each(|n| lane.push(vec![n; BATCH / 2].into()));
        let firsts = |frames: Vec<Bytes>| frames.iter().map(|frame| frame[0]).collect::<Vec<_>>();
        assert_eq!(firsts(lane.take().await), [1, 2]);
        assert_eq!(firsts(lane.take().await), [3, 4]);
        lane.push(vec![5; BATCH + 1].into());
        lane.push(vec![6; 1].into());
        assert_eq!(firsts(lane.take().await), [5], "one that is larger than a batch goes alone");
        lane.clear();
        lane.push(vec![7; 1].into());
        assert_eq!(firsts(lane.take().await), [7]);
    }
}
