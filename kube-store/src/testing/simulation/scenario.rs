//! The bugs of etcd's record of robustness, each as a scenario: a fault of its nature is planted, and a rule sees it; without
//! it the same seeds keep all rules.
//!
//! | scenario | etcd | what is planted | seen by |
//! |---|---|---|---|
//! | crash under load | [13766] | what is applied is noted on the disk before its effect is there | `Starts`, `OneState` |
//! | a lone member loses a write | [14370] | a disk, or a member, acknowledges before it has synced | `Starts`, `CommittedStays`, `OneState`, … |
//! | users are enabled | [14571] | a server does not notice that a snapshot brought users | a test of the server, in `tests/it/users.rs` |
//! | crash during defragmentation | [14685] | the effect is on the disk before it is noted that it was applied | `Starts`, `OneState` |
//! | progress out of step | [15220] | a watch reports progress before what happened until then | `WatchProgress` |
//! | back in time after a partition | [15271] | a watch tells again what it told some time ago | `WatchOrder` |
//! | twice in a transaction | [17247] | a watch tells an event twice | `WatchTwice` |
//! | starved watch | [17529] | a watch that is read slowly loses what waits | `WatchGap`, `WatchProgress` |
//! | crash during compaction | [17780] | the dropped is gone from the disk before the start of history is noted | `Starts`, `OneState` |
//! | compaction of a delete | [18089] | a watch from the start of history does not tell what was deleted there | `WatchGap`, `WatchProgress` |
//! | transaction reads the compacted | [18667] | only the member that was asked refuses the transaction | `OneHistory`, `OneState` |
//! | compaction passes a watch | [19179] | compaction takes a delete from a watch that has not read it yet | `WatchGap`, `WatchProgress` |
//! | watch of the future | [20221] | a watch from a revision ahead begins at once, or reports progress of now | `WatchStart` |
//!
//! The others have no number there: what else is planted in members, disks and stores.
//!
//! [13766]: https://github.com/etcd-io/etcd/issues/13766
//! [14370]: https://github.com/etcd-io/etcd/issues/14370
//! [14571]: https://github.com/etcd-io/etcd/issues/14571
//! [14685]: https://github.com/etcd-io/etcd/pull/14685
//! [15220]: https://github.com/etcd-io/etcd/issues/15220
//! [15271]: https://github.com/etcd-io/etcd/issues/15271
//! [17247]: https://github.com/etcd-io/etcd/issues/17247
//! [17529]: https://github.com/etcd-io/etcd/issues/17529
//! [17780]: https://github.com/etcd-io/etcd/issues/17780
//! [18089]: https://github.com/etcd-io/etcd/issues/18089
//! [18667]: https://github.com/etcd-io/etcd/issues/18667
//! [19179]: https://github.com/etcd-io/etcd/issues/19179
//! [20221]: https://github.com/etcd-io/etcd/issues/20221

use std::sync::Arc;

use super::exercise::{Immediate, exercise};
use super::liar::{Liar, Lie};
use super::rule::{Broken, Checked, Rule};
use super::{Mutation, Settings, run};
use crate::{MemoryStore, Store};

/// Steps of an exercise.
const STEPS: usize = 400;

/// A fault to plant, and who has to see it.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// In a few words.
    pub name: &'static str,
    /// Number of the issue at etcd's, if it stands for one.
    pub etcd: Option<u32>,
    /// Members at the beginning, for a fault in a group.
    pub members: u64,
    /// What is planted.
    pub planted: Planted,
    /// The rules that may see it first.
    pub seen_by: &'static [Rule],
}

/// Where a fault is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// In the members of a group or their disks.
    Group(Mutation),
    /// Between a store and its users.
    Store(Lie),
}

const fn group(
    name: &'static str,
    etcd: u32,
    members: u64,
    mutation: Mutation,
    seen_by: &'static [Rule],
) -> Scenario {
    let etcd = if etcd == 0 { None } else { Some(etcd) };
    Scenario { name, etcd, members, planted: Planted::Group(mutation), seen_by }
}

const fn store(name: &'static str, etcd: u32, lie: Lie, seen_by: &'static [Rule]) -> Scenario {
    let etcd = if etcd == 0 { None } else { Some(etcd) };
    Scenario { name, etcd, members: 1, planted: Planted::Store(lie), seen_by }
}

impl Scenario {
    /// All of them.
    pub const ALL: &[Self] = &[
        group("crash under load", 13766, 3, Mutation::MarkerBeforeData, &[Rule::Starts, Rule::OneState]),
        group("a lone member loses a write", 14370, 1, Mutation::AckBeforeSync, LOST),
        group(
            "crash during defragmentation",
            14685,
            3,
            Mutation::DataBeforeMarker,
            &[Rule::Starts, Rule::OneState],
        ),
        store("progress out of step", 15220, Lie::ProgressAhead, &[Rule::WatchProgress]),
        store("back in time after a partition", 15271, Lie::BackInTime, &[Rule::WatchOrder]),
        store("twice in a transaction", 17247, Lie::Twice, &[Rule::WatchTwice]),
        store("starved watch", 17529, Lie::LoseWhenSlow, SKIPPED),
        group(
            "crash during compaction",
            17780,
            1,
            Mutation::ForgetCompaction,
            &[Rule::Starts, Rule::OneState],
        ),
        store("compaction of a delete", 18089, Lie::ForgetDeletes, SKIPPED),
        group(
            "transaction reads the compacted",
            18667,
            3,
            Mutation::SkipRange,
            &[Rule::OneHistory, Rule::OneState],
        ),
        store("compaction passes a watch", 19179, Lie::CompactDeletes, SKIPPED),
        store("watch of the future", 20221, Lie::PastForFuture, &[Rule::WatchStart]),
        store("progress before the future", 20221, Lie::ProgressOfNow, &[Rule::WatchStart]),
        group("votes before they are durable", 0, 3, Mutation::AckBeforePersist, LOST),
        group("a forgotten vote", 0, 3, Mutation::ForgetVote, LOST),
        group("a stale read of a member", 0, 3, Mutation::StaleRead, &[Rule::Linearizable, Rule::Revisions]),
        group("uncommitted entries", 0, 3, Mutation::ApplyUncommitted, LOST),
        group("a proposal taken twice", 0, 3, Mutation::TakeTwice, &[Rule::Linearizable, Rule::Revisions]),
        group("a failed sync ignored", 0, 3, Mutation::IgnoreFailedSync, LOST),
        group(
            "a lease that lasts too long",
            0,
            3,
            Mutation::LongLease,
            &[Rule::LeadsAlone, Rule::Linearizable],
        ),
        group("a torn batch", 0, 3, Mutation::TornBatch, LOST),
        group("crash while a snapshot is put in place", 0, 3, Mutation::ForgetMark, HALF),
        group("a snapshot in place too early", 0, 3, Mutation::EarlySwap, HALF),
        group("the leader of a pair is removed", 0, 2, Mutation::LeaveAtOnce, &[Rule::Agreement]),
        store("a watch with a gap", 0, Lie::SkipEvent, SKIPPED),
        store("a stale read", 0, Lie::StaleRead, &[Rule::Linearizable]),
        store("a lost write", 0, Lie::LoseWrite, &[Rule::Revisions, Rule::Linearizable]),
        store("a revision used again", 0, Lie::ReuseRevision, &[Rule::Revisions]),
        store("a wrong lease", 0, Lie::WrongLease, &[Rule::Linearizable, Rule::Reads]),
    ];

    /// Runs a seed with the fault.
    ///
    /// # Errors
    /// The rule that was broken, as it has to be with some seed.
    pub fn run(&self, seed: u64) -> Checked {
        match self.planted {
            Planted::Group(mutation) => self.run_group(seed, Some(mutation)),
            Planted::Store(lie) => on_store(seed, Arc::new(Liar::new(Arc::new(MemoryStore::new()), lie))),
        }
    }

    /// Runs a seed without the fault.
    ///
    /// # Errors
    /// The rule that was broken.
    pub fn run_honest(&self, seed: u64) -> Checked {
        match self.planted {
            Planted::Group(_) => self.run_group(seed, None),
            Planted::Store(_) => on_store(seed, Arc::new(MemoryStore::new())),
        }
    }

    /// The first of these seeds with which the fault was seen, and what of it.
    pub fn first_seen(&self, mut seeds: std::ops::Range<u64>) -> Option<(u64, Broken)> {
        seeds.find_map(|seed| self.run(seed).err().map(|broken| (seed, broken)))
    }

    fn run_group(&self, seed: u64, mutation: Option<Mutation>) -> Checked {
        let lease_reads = self.planted == Planted::Group(Mutation::LongLease);
        let interrupt_snapshots =
            matches!(self.planted, Planted::Group(mutation) if mutation.is_of_snapshots());
        let settings = Settings {
            members: self.members,
            lease_reads,
            interrupt_snapshots,
            removes_leaders: self.planted == Planted::Group(Mutation::LeaveAtOnce),
            mutation,
            ..Settings::default()
        };
        run(seed, &settings).map(drop).map_err(|violation| violation.broken)
    }
}

/// What a member that lost something may show first.
const LOST: &[Rule] = &[
    Rule::Starts,
    Rule::Runs,
    Rule::Monotonic,
    Rule::LogMatching,
    Rule::CommittedStays,
    Rule::OneLeader,
    Rule::OneHistory,
    Rule::OneState,
    Rule::Agreement,
    Rule::Linearizable,
    Rule::Revisions,
];

/// What a member that starts on half of a snapshot may show first.
const HALF: &[Rule] = &[Rule::Starts, Rule::OneState, Rule::OneHistory];

/// What a watch that leaves out something may show first.
const SKIPPED: &[Rule] = &[Rule::WatchGap, Rule::WatchProgress];

/// The exercise on a store in memory, which needs no time.
fn on_store(seed: u64, store: Arc<dyn Store>) -> Checked {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| Rule::Runs.because(error.to_string()))?;
    runtime.block_on(async { exercise(seed, STEPS, &mut Immediate(store)).await.map(drop) })
}
