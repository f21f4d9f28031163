//! Limits and retention.

use std::time::Duration;

use crate::{Error, InvalidRequest, Result};

/// Limits and retention of the stores in this crate.
#[derive(Debug, Clone)]
pub struct Config {
    /// Largest sum of the keys and values in one request, in bytes. Default 1.5 MiB, as etcd.
    pub max_request_bytes: usize,
    /// Most operations in one list of a transaction. Default 128, as etcd.
    pub max_txn_ops: usize,
    /// Puts are refused when keys, values and kept history would take more than this with them, in bytes. Default 8 GiB.
    pub quota_bytes: u64,
    /// What a watcher takes out of the shared history at once, in bytes of keys and values, and so the most that one
    /// holds for a reader that is slow. Default 1 MiB.
    pub watch_batch_bytes: usize,
    /// How often a watcher that asked for it reports progress while nothing else happens. Default 10 minutes, as etcd.
    pub progress_interval: Duration,
    /// When history is forgotten without being asked. Default: after 5 minutes.
    pub auto_compaction: AutoCompaction,
    /// How often it is noted durably what is left of the leases that live longer than that, so that they do not live longer
    /// because a store or a member was started anew. etcd's is 5 minutes if it is enabled. All members of a group must know it.
    /// Default never.
    pub lease_checkpoints: Option<Duration>,
    /// Seed of the identifiers that the store chooses for leases; `None` takes one from the system. Default `None`.
    pub seed: Option<u64>,
}

/// When history is forgotten without being asked. Until then, it is held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoCompaction {
    /// Never: somebody calls `compact`.
    Off,
    /// When it is older than this, give or take a tenth.
    Age(Duration),
    /// When it is more than so many revisions back, give or take a tenth.
    Revisions(u64),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_request_bytes: 3 * 512 * 1024,
            max_txn_ops: 128,
            quota_bytes: 8 << 30,
            watch_batch_bytes: 1 << 20,
            progress_interval: Duration::from_secs(600),
            auto_compaction: AutoCompaction::Age(Duration::from_secs(300)),
            lease_checkpoints: None,
            seed: None,
        }
    }
}

impl Config {
    /// Refuses limits that nothing could pass.
    pub fn validate(&self) -> Result<()> {
        if self.max_request_bytes == 0 || self.watch_batch_bytes == 0 {
            return Err(InvalidRequest::TooLarge { found: 1, limit: 0 }.into());
        }
        if self.max_txn_ops == 0 {
            return Err(InvalidRequest::TooManyOps { found: 1, limit: 0 }.into());
        }
        if self.progress_interval.is_zero()
            || self.auto_compaction == AutoCompaction::Age(Duration::ZERO)
            || self.lease_checkpoints == Some(Duration::ZERO)
        {
            return Err(Error::Unavailable { reason: "intervals must not be zero".into() });
        }
        Ok(())
    }
}
