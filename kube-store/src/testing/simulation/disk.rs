//! A disk that forgets what was not synced, or half of it; and disks that lie.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;

use super::Mutation;
use super::rule::{Checked, Rule};
use crate::engine::{Batch, Engine, Visit};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
/// A key and its new value; `None` when it is deleted.
type Write = (Vec<u8>, Option<Vec<u8>>);

/// Batches of which a lying disk has said that they are durable, and which are not.
const LATE: usize = 8;

/// An engine with a log in front: a batch is written to the log, and counts once it is there whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    durable: Arc<Mutex<Map>>,
    /// The batch being written, as the log holds it.
    writing: Option<Vec<u8>>,
    /// How it lies.
    lie: Option<Mutation>,
    /// What it said was durable, and is not yet.
    late: VecDeque<Vec<Write>>,
}

impl Disk {
    /// Plants a fault.
    pub(super) fn plant(&mut self, lie: Option<Mutation>) {
        self.lie = lie;
    }

    /// Starts to write a batch. Engines may take the entries of a batch in any order, so none may contradict another.
    pub(super) fn begin(&mut self, batch: &Batch) -> Checked {
        let mut record = Vec::new();
        let mut seen = BTreeMap::new();
        for (key, value) in batch.iter() {
            if seen.insert(key, value).is_some_and(|other| other != value) {
                return Rule::Batch.broken(format!("a batch holds {} twice", key.escape_ascii()));
            }
        }
        for (key, value) in batch.iter() {
            for part in [Some(key), value] {
                let length = part.map_or(u32::MAX, |part| u32::try_from(part.len()).unwrap_or(0));
                record.extend_from_slice(&length.to_be_bytes());
                record.extend_from_slice(part.unwrap_or_default());
            }
        }
        record.extend_from_slice(&crc32fast::hash(&record).to_be_bytes());
        self.writing = Some(record);
        Ok(())
    }

    /// The batch is durable, or at least the disk says so.
    pub(super) fn sync(&mut self) {
        let Some(writes) = self.writing.take().and_then(|record| whole(&record)) else { return };
        let lie = self.lie;
        let writes = self.twisted(writes);
        let (late, now): (Vec<_>, Vec<_>) = writes.into_iter().partition(|(key, _)| is_late(lie, key));
        self.put(now);
        self.late.push_back(late);
        while self.late.len() > LATE || (self.lie.is_none() && !self.late.is_empty()) {
            let due = self.late.pop_front().unwrap_or_default();
            self.put(due);
        }
    }

    /// What a disk that lies about snapshots makes of a batch.
    fn twisted(&self, mut writes: Vec<Write>) -> Vec<Write> {
        const MARK: &[u8] = b"rs";
        match self.lie {
            Some(Mutation::ForgetMark) => writes.retain(|(key, _)| key != MARK),
            Some(Mutation::EarlySwap)
                if writes.iter().any(|(key, value)| is_version(key) && value.is_some()) =>
            {
                writes.push((MARK.to_vec(), None));
            }
            _ => {}
        }
        writes
    }

    /// The sync failed, and the system has thrown away what was to be written.
    pub(super) fn lose(&mut self) {
        self.writing = None;
    }

    /// The power fails: of what was not synced, some is there, up to a byte by chance.
    pub(super) fn crash(&mut self, rng: &mut Rng) {
        self.late.clear();
        let Some(mut record) = self.writing.take() else { return };
        match rng.u8(..3) {
            0 => record.clear(),
            1 => record.truncate(rng.usize(..=record.len())),
            _ => {}
        }
        let there = match self.lie {
            Some(Mutation::TornBatch) => parse(&record),
            _ => whole(&record).unwrap_or_default(),
        };
        self.put(there);
    }

    /// Nothing is left.
    pub(super) fn wipe(&mut self) {
        self.writing = None;
        self.late.clear();
        self.durable.lock().clear();
    }

    fn put(&self, writes: Vec<Write>) {
        let mut durable = self.durable.lock();
        for (key, value) in writes {
            match value {
                Some(value) => durable.insert(key, value),
                None => durable.remove(&key),
            };
        }
    }
}

/// Whether this is the key of what the store holds of a key.
fn is_version(key: &[u8]) -> bool {
    key.first() == Some(&b'v')
}

/// Whether a disk with this lie says of a record that it is durable before it is.
fn is_late(lie: Option<Mutation>, key: &[u8]) -> bool {
    match lie {
        Some(Mutation::AckBeforeSync) => true,
        Some(Mutation::MarkerBeforeData) => key.first() != Some(&b'r'),
        Some(Mutation::DataBeforeMarker) => key == b"ra",
        Some(Mutation::ForgetCompaction) => key == b"m",
        _ => false,
    }
}

/// What a record of the log says, if it is whole.
fn whole(record: &[u8]) -> Option<Vec<Write>> {
    let (body, sum) = record.split_last_chunk::<4>()?;
    (crc32fast::hash(body) == u32::from_be_bytes(*sum)).then(|| parse(body))
}

/// As many writes as there are.
fn parse(mut rest: &[u8]) -> Vec<Write> {
    let mut writes = Vec::new();
    while let Some(Some(key)) = take(&mut rest) {
        let Some(value) = take(&mut rest) else { break };
        writes.push((key.to_vec(), value.map(<[u8]>::to_vec)));
    }
    writes
}

/// The next part; `Some(None)` stands for no value.
fn take<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length);
    if length == u32::MAX {
        *rest = after;
        return Some(None);
    }
    let (part, after) = after.split_at_checked(length as usize)?;
    *rest = after;
    Some(Some(part))
}

impl Engine for Disk {
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> io::Result<()> {
        let durable = self.durable.lock();
        let from = durable.range(prefix.to_vec()..);
        from.take_while(|(key, _)| key.starts_with(prefix)).try_for_each(|(key, value)| visit(key, value))
    }

    fn commit(&mut self, batch: &Batch) -> io::Result<()> {
        self.begin(batch).map_err(io::Error::other)?;
        self.sync();
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}
