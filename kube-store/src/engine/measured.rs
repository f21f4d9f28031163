//! An engine that measures another.

use std::io;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Batch, Engine, Keep, Visit};
use crate::measure::{Counter, Histogram};

/// What an engine does, for a page of metrics.
#[derive(Debug)]
pub struct DiskMetrics {
    /// How long each commit took, and so each sync.
    pub(crate) commits: Histogram,
    /// Bytes of keys and values that were committed.
    pub(crate) written: Counter,
}

/// Any engine, with its work measured.
#[derive(Debug)]
pub struct Measured<E> {
    engine: E,
    metrics: Arc<DiskMetrics>,
}

impl<E: Engine> Measured<E> {
    /// Measures `engine`.
    pub fn new(engine: E) -> Self {
        let metrics = DiskMetrics { commits: Histogram::doubling(0.001, 14), written: Counter::default() };
        Self { engine, metrics: Arc::new(metrics) }
    }

    /// What was measured, now and later.
    pub fn metrics(&self) -> Arc<DiskMetrics> {
        self.metrics.clone()
    }
}

impl<E: Engine> Engine for Measured<E> {
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> io::Result<()> {
        self.engine.scan(prefix, visit)
    }

    // Passed on too, or the engine would keep for ever what it read to give away.
    fn load(&self, prefix: &[u8], visit: &mut Keep<'_>) -> io::Result<()> {
        self.engine.load(prefix, visit)
    }

    fn commit(&mut self, batch: &Batch) -> io::Result<()> {
        let begun = Instant::now();
        self.engine.commit(batch)?;
        self.metrics.commits.note(begun.elapsed());
        self.metrics.written.add(batch.buffer.len() as u64);
        Ok(())
    }

    fn shrink(&mut self) -> io::Result<bool> {
        self.engine.shrink()
    }

    fn disk_bytes(&self) -> u64 {
        self.engine.disk_bytes()
    }

    fn verifies(&self) -> bool {
        self.engine.verifies()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::engine::MemoryEngine;

    /// An engine that says by which way it was asked.
    #[derive(Debug)]
    struct Asked;

    impl Engine for Asked {
        fn scan(&self, _: &[u8], visit: &mut Visit<'_>) -> io::Result<()> {
            visit(b"scan", b"")
        }

        fn load(&self, _: &[u8], visit: &mut Keep<'_>) -> io::Result<()> {
            visit(b"load", Bytes::new())
        }

        fn commit(&mut self, _: &Batch) -> io::Result<()> {
            Ok(())
        }

        fn shrink(&mut self) -> io::Result<bool> {
            Ok(true)
        }

        fn disk_bytes(&self) -> u64 {
            7
        }

        fn verifies(&self) -> bool {
            true
        }
    }

    #[test]
    fn everything_reaches_the_engine() {
        let mut engine = Measured::new(Asked);
        let expect = |key: &[u8], way: &str| {
            if key == way.as_bytes() { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
        };
        engine.scan(b"", &mut |key, _| expect(key, "scan")).unwrap();
        engine.load(b"", &mut |key, _| expect(key, "load")).unwrap();
        assert!(engine.verifies() && engine.disk_bytes() == 7 && engine.shrink().unwrap());
    }

    #[test]
    fn commits_are_measured_and_reach_the_engine() {
        let inner = MemoryEngine::default();
        let mut engine = Measured::new(inner);
        let metrics = engine.metrics();
        let mut batch = Batch::default();
        batch.put(b"key", |value| value.extend_from_slice(b"value"));
        engine.commit(&batch).unwrap();
        let mut seen = Vec::new();
        let visit = &mut |key: &[u8], _: &[u8]| {
            seen.push(key.to_vec());
            Ok(())
        };
        engine.scan(b"k", visit).unwrap();
        assert_eq!(seen, [b"key".to_vec()]);
        assert_eq!(metrics.commits.up_to().last().map(|(_, count)| count), Some(1));
        assert_eq!(metrics.written.get(), 8);
    }
}
