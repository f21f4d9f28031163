//! What a run is judged by.

/// A rule that every run has to keep. Each has one place that looks at it, so that a planted fault shows which of them sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// A member starts on the disk that it left.
    Starts,
    /// A member does not stop by itself, and not by a panic.
    Runs,
    /// A batch says one thing of each record.
    Batch,
    /// Terms, and what is committed and applied, do not go back.
    Monotonic,
    /// Entries of one index and term are the same, and so are all before them.
    LogMatching,
    /// What is committed never becomes anything else.
    CommittedStays,
    /// A term has one leader, and it has everything that was committed before.
    OneLeader,
    /// A leader that answers reads alone is the newest.
    LeadsAlone,
    /// A revision holds the same events everywhere.
    OneHistory,
    /// After the same entry of the log every member, in each of its lives, has the same revision, start of history, and number
    /// of keys and leases.
    OneState,
    /// Without faults the members come to agree.
    Agreement,
    /// Operations on a key could have happened one after the other.
    Linearizable,
    /// A write has a revision of its own, and what begins after an answer has none that is older.
    Revisions,
    /// A read at a revision gives what that revision has.
    Reads,
    /// A watch leaves out nothing.
    WatchGap,
    /// A watch tells nothing twice.
    WatchTwice,
    /// A watch does not go back in time.
    WatchOrder,
    /// A watch tells nothing from before its start.
    WatchStart,
    /// When a watch reports progress, it has told everything up to there.
    WatchProgress,
    /// A watch tells what happened, and what was there before.
    WatchContent,
}

/// A rule that was broken, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule:?}: {what}")]
pub struct Broken {
    /// Which.
    pub rule: Rule,
    /// How.
    pub what: String,
}

/// Outcome of looking at a rule.
pub type Checked<T = ()> = Result<T, Broken>;

impl Rule {
    /// Says that the rule is broken.
    ///
    /// # Errors
    /// Always.
    pub fn broken<T>(self, what: impl Into<String>) -> Checked<T> {
        Err(self.because(what))
    }

    pub(super) fn because(self, what: impl Into<String>) -> Broken {
        Broken { rule: self, what: what.into() }
    }
}
