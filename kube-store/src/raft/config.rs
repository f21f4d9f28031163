//! How a member behaves, and how it comes into being.

use std::time::Duration;

use super::MemberInfo;
use crate::{Config, Error, Result};

/// A member's place in its group, and its limits.
#[derive(Debug, Clone)]
pub struct RaftConfig {
    /// This member's number, not 0.
    pub id: u64,
    /// Names the group. Messages of another group are dropped.
    pub cluster: u64,
    /// What to do when the disk is empty; a disk that holds a member goes on from there whatever this says.
    pub start: Start,
    /// Length of a tick. Default 100 ms.
    pub tick: Duration,
    /// Ticks between a leader's heartbeats. Default 1.
    pub heartbeat_ticks: usize,
    /// Ticks without a leader until a member stands for election, at least; at most, and by chance, twice as many.
    /// Default 10.
    pub election_ticks: usize,
    /// Largest batch of entries in one message, in bytes, but always at least one entry. Default 1 MiB.
    pub max_message_bytes: u64,
    /// Messages of entries under way to one member. Default 64.
    pub max_inflight: usize,
    /// Proposals in a leader's log that are not committed, in bytes; more are refused. Default 64 MiB.
    pub max_uncommitted_bytes: u64,
    /// Entries kept for slow members after they were applied; a member that is further behind gets a snapshot.
    /// Default 5,000, as etcd.
    pub keep_entries: u64,
    /// The same in bytes; the log is held in memory. Default 64 MiB.
    pub keep_bytes: u64,
    /// Part of a snapshot in one message, in bytes. Default 256 KiB.
    pub chunk_bytes: usize,
    /// How long a call waits for the group. Default 7 s, as etcd.
    pub timeout: Duration,
    /// How a leader makes sure that a read sees what is newest. Default: by asking a majority.
    pub reads: ReadMode,
    /// Limits and retention of the store. Its seed decides elections too.
    pub store: Config,
}

/// How a leader makes sure that a read sees what is newest. All members of a group must have the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReadMode {
    /// It asks a majority whether it still leads, once for all reads that wait. No clock matters.
    #[default]
    Quorum,
    /// It asks only now and then, and answers alone for a while after, until shortly before another could be elected. Then
    /// clocks matter: a read may miss the newest writes if a clock is faster than said here, or stands still while its
    /// process goes on, as when a virtual machine is suspended. A member that starts gives nobody its vote for the shortest
    /// time of an election.
    Lease {
        /// By how much, in percent, one member's clock may be faster than another's. 20 is far more than any that works.
        drift_percent: u32,
    },
}

/// How a member with an empty disk begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// As one of these first members of a new group; all of them must be given the same list. A member that lost its disk
    /// must not begin so again, for it may have voted: remove it, and add another with a new number.
    New(Vec<MemberInfo>),
    /// As a member that the group has added, or will.
    Join,
}

impl RaftConfig {
    /// The only member of a new group.
    pub fn single() -> Self {
        Self::member(1, 1)
    }

    /// Member `id` of a new group of members 1 to `members`.
    pub fn member(id: u64, members: u64) -> Self {
        Self {
            id,
            cluster: 1,
            start: Start::New((1..=members).map(MemberInfo::new).collect()),
            tick: Duration::from_millis(100),
            heartbeat_ticks: 1,
            election_ticks: 10,
            max_message_bytes: 1 << 20,
            max_inflight: 64,
            max_uncommitted_bytes: 64 << 20,
            keep_entries: 5_000,
            keep_bytes: 64 << 20,
            chunk_bytes: 256 << 10,
            timeout: Duration::from_secs(7),
            reads: ReadMode::default(),
            store: Config::default(),
        }
    }

    /// Member `id`, which an existing group has added or will add.
    pub fn joining(id: u64) -> Self {
        Self { start: Start::Join, ..Self::member(id, 1) }
    }

    /// Refuses what cannot work.
    pub fn validate(&self) -> Result<()> {
        self.store.validate()?;
        let wrong = |reason: &str| Err(Error::Unavailable { reason: reason.into() });
        if self.id == 0 {
            return wrong("a member's number must not be 0");
        }
        if self.heartbeat_ticks == 0 || self.election_ticks <= self.heartbeat_ticks {
            return wrong(
                "an election must take more ticks than a heartbeat, and a heartbeat more than none",
            );
        }
        if self.tick.is_zero() || self.timeout.is_zero() {
            return wrong("intervals must not be zero");
        }
        if self.max_inflight == 0
            || self.chunk_bytes == 0
            || self.max_uncommitted_bytes < self.max_message_bytes
        {
            return wrong("a limit of the replication lets nothing pass");
        }
        match &self.start {
            Start::New(members) if !members.iter().any(|m| m.id == self.id && !m.learner) => {
                wrong("a first member must be one of the voters of the new group")
            }
            _ => Ok(()),
        }
    }
}
