//! A group of members under faults, on one thread and in virtual time: the same seed is the same run.
//!
//! The members are the real ones; network, disk and clock are made up. Messages are lost, repeated, delayed, reordered,
//! damaged and cut off in one direction or both; processes crash and stand still; what was not synced is lost or torn; syncs
//! fail, and then the member stops; clocks run at different speeds; members are added, promoted, removed, and lose their
//! disks. After every step the rules of Raft are checked, and at the end what clients and watchers saw. [`scenario`] lists
//! what is planted to show that each of the rules sees something; [`exercise`] looks at any store from outside.
//!
//! ```
//! use kube_store::testing::simulation::{Mutation, Settings, run};
//!
//! let report = run(7, &Settings::default()).unwrap();
//! assert!(report.answered > 0);
//! // A simulation is worth something if it finds planted faults.
//! let broken = Settings { mutation: Some(Mutation::ApplyUncommitted), ..Settings::default() };
//! assert!((0..200).any(|seed| run(seed, &broken).is_err()));
//! ```

mod clients;
mod disk;
mod exercise;
mod faults;
mod installs;
mod invariants;
mod liar;
mod linear;
mod network;
mod rule;
pub mod scenario;
#[cfg(test)]
mod tests;
mod watched;
mod watcher;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

pub use self::exercise::{Exercised, Immediate, Stage, exercise};
pub use self::installs::InstallStep;
pub use self::liar::{Liar, Lie};
pub use self::rule::{Broken, Checked, Rule};
pub use self::scenario::Scenario;
pub use self::watched::{History, Told, Watched};

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Members at the beginning. Default 3.
    pub members: u64,
    /// Clients, each with one operation at a time. Default 4.
    pub clients: usize,
    /// Keys that they share. Default 3.
    pub keys: usize,
    /// Virtual time with faults; some without follow. Default 5 s.
    pub duration: Duration,
    /// What clients do and what goes wrong. Default all of it.
    pub variety: Variety,
    /// Whether leaders answer reads alone for a while; clocks differ by less than the members are told. Default no.
    pub lease_reads: bool,
    /// Whether snapshots are frequent and of many parts, and members often crash while they put one in place. Default no.
    pub interrupt_snapshots: bool,
    /// Whether frames are lost and the leader of a pair is removed again and again, and nothing else goes wrong; then the others
    /// always have to agree in the end. Default no.
    pub removes_leaders: bool,
    /// A fault to plant. Default none.
    pub mutation: Option<Mutation>,
}

/// What clients do and what goes wrong. A seed is another run with another variety, so one that a test relies on keeps its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variety {
    /// Without transactions that read old revisions, compaction of the newest revision, and full disks.
    Narrow,
    /// Everything.
    Wide,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            members: 3,
            clients: 4,
            keys: 3,
            duration: Duration::from_secs(5),
            variety: Variety::Wide,
            lease_reads: false,
            interrupt_snapshots: false,
            removes_leaders: false,
            mutation: None,
        }
    }
}

/// A fault planted in the members or their disks, to show that the simulation finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mutation {
    /// Votes and acknowledgements leave before what they promise is durable.
    AckBeforePersist,
    /// A member answers reads from its own state at once.
    StaleRead,
    /// A member applies what is in its log, committed or not.
    ApplyUncommitted,
    /// A member that starts again does not remember whom it voted for.
    ForgetVote,
    /// A leader takes a forwarded proposal each time it arrives.
    TakeTwice,
    /// A member does what a transaction reads only for clients of its own, so only there it can be refused for that.
    SkipRange,
    /// A disk says that a batch is durable when it is not.
    AckBeforeSync,
    /// What is applied is noted on the disk before its effect is there.
    MarkerBeforeData,
    /// The effect of what is applied is on the disk before it is noted that it was applied.
    DataBeforeMarker,
    /// What compaction drops is gone from the disk before it is noted where history starts.
    ForgetCompaction,
    /// A member whose sync failed goes on as if it had not.
    IgnoreFailedSync,
    /// A disk takes over the part of a batch that was written before the power failed.
    TornBatch,
    /// A leader answers reads alone for longer than others wait with an election. Needs [`Settings::lease_reads`].
    LongLease,
    /// It is not on the disk that the records of the store mean nothing while a snapshot is put in their place.
    ForgetMark,
    /// The disk says that a snapshot is in place once its first part is there.
    EarlySwap,
    /// A leader that was removed falls silent at once. Needs [`Settings::removes_leaders`].
    LeaveAtOnce,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::AckBeforePersist,
        Self::StaleRead,
        Self::ApplyUncommitted,
        Self::ForgetVote,
        Self::TakeTwice,
        Self::SkipRange,
        Self::AckBeforeSync,
        Self::MarkerBeforeData,
        Self::DataBeforeMarker,
        Self::ForgetCompaction,
        Self::IgnoreFailedSync,
        Self::TornBatch,
        Self::LongLease,
        Self::ForgetMark,
        Self::EarlySwap,
        Self::LeaveAtOnce,
    ];

    /// Whether it shows only with [`Settings::interrupt_snapshots`].
    pub(crate) fn is_of_snapshots(self) -> bool {
        matches!(self, Self::ForgetMark | Self::EarlySwap)
    }
}

/// What happened in a run that kept all rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Operations of clients.
    pub operations: usize,
    /// Those that got an answer.
    pub answered: usize,
    /// Leaders, one after another.
    pub leaders: usize,
    /// Processes that crashed.
    pub crashes: usize,
    /// Snapshots taken over by a member.
    pub snapshots: usize,
    /// Crashes while a snapshot was put in place, by how far that had come.
    pub interrupted: BTreeMap<InstallStep, usize>,
    /// Those of members that came to the group later.
    pub interrupted_joins: usize,
    /// Changes of the members that were done.
    pub changes: usize,
    /// Whether the group was left without a majority in the end, and so did not have to agree.
    pub stuck: bool,
    /// A hash of everything that happened, in order.
    pub digest: u64,
}

/// A rule that was broken in a run.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{broken}")]
pub struct Violation {
    /// Which, and how.
    pub broken: Broken,
    /// The last things that happened before.
    pub trace: Vec<String>,
}

/// Runs the simulation of `seed`.
///
/// # Errors
/// The first rule that was broken.
pub fn run(seed: u64, settings: &Settings) -> Result<Report, Violation> {
    let mut world = world::World::new(seed, settings);
    let run = || world.run();
    // Where a member's own assertions fail, a rule was broken too.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    let broken = match outcome {
        Ok(Ok(())) => return Ok(world.report()),
        Ok(Err(what)) => what,
        Err(panic) => Rule::Runs.because(format!("a member panicked: {}", message(panic.as_ref()))),
    };
    Err(Violation { broken, trace: world.trace() })
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    match panic.downcast_ref::<String>() {
        Some(text) => text,
        None => panic.downcast_ref::<&str>().copied().unwrap_or("without a word"),
    }
}
