//! A disk that forgets what was not synced, or half of it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;

use crate::engine::{Batch, Engine, Visit};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// An engine with a log in front: a batch is written to the log, and counts once it is there whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    durable: Arc<Mutex<Map>>,
    /// The batch being written, as the log holds it.
    writing: Option<Vec<u8>>,
}

impl Disk {
    /// Starts to write a batch. Engines may take the entries of a batch in any order, so none may contradict another.
    pub(super) fn begin(&mut self, batch: &Batch) -> Result<(), String> {
        let mut record = Vec::new();
        let mut seen = BTreeMap::new();
        for (key, value) in batch.iter() {
            if seen.insert(key, value).is_some_and(|other| other != value) {
                return Err(format!("a batch holds {} twice", key.escape_ascii()));
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

    /// The batch is durable.
    pub(super) fn sync(&mut self) {
        if let Some(record) = self.writing.take() {
            self.recover(&record);
        }
    }

    /// The power fails: of what was not synced, some is there, up to a byte by chance.
    pub(super) fn crash(&mut self, rng: &mut Rng) {
        let Some(mut record) = self.writing.take() else { return };
        match rng.u8(..3) {
            0 => record.clear(),
            1 => record.truncate(rng.usize(..=record.len())),
            _ => {}
        }
        self.recover(&record);
    }

    /// Nothing is left.
    pub(super) fn wipe(&mut self) {
        self.writing = None;
        self.durable.lock().clear();
    }

    /// Takes over a batch from the log if it is whole.
    fn recover(&mut self, record: &[u8]) {
        let Some((body, sum)) = record.split_last_chunk::<4>() else { return };
        if crc32fast::hash(body) != u32::from_be_bytes(*sum) {
            return;
        }
        let mut durable = self.durable.lock();
        let mut rest = body;
        while let Some(Some(key)) = take(&mut rest) {
            match take(&mut rest) {
                Some(Some(value)) => durable.insert(key.to_vec(), value.to_vec()),
                _ => durable.remove(key),
            };
        }
    }
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
