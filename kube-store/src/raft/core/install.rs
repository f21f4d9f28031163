//! Putting the state of a snapshot in the place of this member's, on the disk a part at a time.
//!
//! A batch of everything would be as large as the state. So a mark comes first, which says that the records of the store
//! mean nothing; then the old records go and the new ones come, in batches of bounded size; and the mark goes with the batch
//! that says how far the new ones are applied. A member that starts and finds the mark has lost its log and its state: it
//! clears its disk and waits for another snapshot. It may lose them, for the group has committed all that the snapshot holds
//! without this member, whose log did not go that far. But what it has lost may have counted for that, when the voters were
//! others; so it votes as if it had everything up to the snapshot, for nobody who has less, and does not ask for votes, until
//! its log goes that far. The next snapshot may be an older one: of a leader that has the rest in its log, and needs this
//! member to know it committed.

use bytes::Bytes;
use raft::prelude::{Message, Ready};
use tokio::time::Instant;

use super::super::record::{self, Position};
use super::super::transfer::Arrived;
use super::{Core, Work};
use crate::engine::Batch;
use crate::mvcc::{Change, Dump, Loader, State};
use crate::{Error, Result};

/// Parts of a snapshot that go to the disk with one sync.
const PARTS: usize = 16;

/// A snapshot that has arrived, and how much of it is on the disk.
#[derive(Debug)]
pub(super) struct Install {
    arrived: Arrived,
    /// What a member that starts meanwhile has lost.
    mark: Position,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Mark,
    Clear(Dump),
    Fill(Dump),
    Done,
}

impl Install {
    pub(super) fn new(arrived: Arrived, lost: Option<Position>) -> Self {
        let mark = lost.unwrap_or_default().max(arrived.applied.at);
        Self { arrived, mark, step: Step::Mark }
    }

    /// The next batch, of about `size` bytes; `None` when all are there.
    fn batch(&mut self, old: &mut State, size: usize) -> Option<Batch> {
        let mut batch = Batch::default();
        match &mut self.step {
            Step::Mark => {
                record::put_mark(&mut batch, self.mark);
                // What was about to be written never will be, and what was about to be deleted has to be.
                let (_, changes) = old.take_changes();
                changes.iter().filter_map(record_key).for_each(|key| batch.delete(&key));
                self.step = Step::Clear(Dump::new(old));
            }
            Step::Clear(dump) => {
                fill(dump, old, size, |change| {
                    record_key(change).into_iter().for_each(|key| batch.delete(&key));
                    64
                });
                if batch.is_empty() {
                    self.step = Step::Fill(Dump::new(&self.arrived.state));
                    return self.batch(old, size);
                }
            }
            Step::Fill(dump) => {
                fill(dump, &self.arrived.state, size, |change| {
                    change.encode(&mut batch);
                    64 + if let Change::Write { kv, .. } = change { kv.bytes() } else { 0 }
                });
                if batch.is_empty() {
                    self.step = Step::Done;
                    return None;
                }
            }
            Step::Done => return None,
        }
        Some(batch)
    }
}

/// Hands out what a dump holds until the sum of the costs is `size`.
fn fill(dump: &mut Dump, state: &State, size: usize, mut add: impl FnMut(&Change) -> usize) {
    let mut bytes = 0;
    while bytes < size
        && let Some(change) = dump.next(state)
    {
        bytes += add(&change);
    }
}

/// The key under which a change is on the disk.
fn record_key(change: &Change) -> Option<Vec<u8>> {
    let mut batch = Batch::default();
    change.encode(&mut batch);
    batch.iter().next().map(|(key, _)| key.to_vec())
}

impl Core {
    /// What there is to do for a snapshot, or after one that was interrupted, before anything else may be done.
    pub(super) fn prepare(&mut self, state: &mut State) -> Option<Work> {
        let size = self.config.chunk_bytes.saturating_mul(PARTS);
        let batch = match &mut self.install {
            _ if !self.litter.is_empty() => self.clear(size),
            Some(install) => install.batch(state, size)?,
            None => return None,
        };
        let mut work = Work { batch, ..Work::default() };
        self.hand_over(&mut work);
        Some(work)
    }

    /// Deletes what an interrupted snapshot has left.
    fn clear(&mut self, size: usize) -> Batch {
        let mut batch = Batch::default();
        let at = self.litter.len().saturating_sub((size / 64).max(1));
        self.litter.drain(at..).for_each(|key| batch.delete(&key));
        if self.litter.is_empty() {
            record::put_hard(&mut batch, &self.node.raft.hard_state());
            record::put_truncated(&mut batch, self.node.store().truncated());
            record::put_applied(&mut batch, &self.node.store().applied);
        }
        batch
    }

    /// Whether somebody asks for a vote who has less than this member has lost.
    pub(super) fn has_too_little(&self, message: &Message) -> bool {
        self.lost.is_some_and(|lost| Position { term: message.log_term, index: message.index } < lost)
    }

    /// Whether this member has less than it has lost, so that it must not lead either.
    pub(super) fn lacks(&self) -> bool {
        self.lost.is_some_and(|lost| self.node.store().last() < lost)
    }

    /// Adds to a batch what this member still lacks of what it has lost.
    pub(super) fn note_lost(&mut self, batch: &mut Batch) {
        match self.lost {
            Some(lost) if self.lacks() => record::put_lost(batch, lost),
            Some(_) => {
                record::delete_lost(batch);
                self.lost = None;
            }
            None => {}
        }
    }

    /// Takes note of a snapshot that the `raft` crate was shown.
    pub(super) fn expect(&mut self, arrived: Arrived) {
        if self.is_taking_snapshot() {
            self.install = Some(Install::new(arrived, self.lost));
        }
    }

    /// Whether the `raft` crate has taken a snapshot that is not in place yet.
    pub(super) fn is_taking_snapshot(&self) -> bool {
        self.node.raft.raft_log.unstable.snapshot.is_some()
    }

    /// Puts the state of a snapshot, whose records are on the disk, in the place of this one.
    pub(super) fn install(&mut self, ready: &Ready, state: &mut State, batch: &mut Batch) -> Result<()> {
        let install = self.install.take().filter(|install| matches!(install.step, Step::Done));
        let Some(Arrived { applied, state: mut new }) = install.map(|install| install.arrived) else {
            return Err(Error::corrupt("a snapshot is to be put in place that did not arrive"));
        };
        if applied.at.index != ready.snapshot().get_metadata().index {
            return Err(Error::corrupt("another snapshot has arrived than is to be put in place"));
        }
        for number in self.proposals.skip(applied.at.term) {
            let reason = "a snapshot was installed meanwhile; the request may have been done".into();
            self.answers.push((number, Err(Error::Unavailable { reason })));
        }
        new.publish(i64::MAX);
        new.follow_records_of(state);
        *state = new;
        let gone = self.node.mut_store().restart(applied);
        record::delete_mark(batch);
        record::put_truncated(batch, self.node.store().truncated());
        // A batch must not hold a key twice.
        gone.filter(|index| ready.entries().iter().all(|entry| entry.index != *index))
            .for_each(|index| record::delete_entry(batch, index));
        self.sweeping = true;
        Ok(())
    }
}

/// The state of a member that has none.
pub(super) fn nothing(now: Instant) -> Result<State> {
    Loader::new(now).finish()
}

/// Keys of records that an interrupted snapshot has left.
pub(super) type Litter = Vec<Bytes>;
