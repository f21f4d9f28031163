//! A bounded journal, so that applying one change costs one change, not a walk over everything.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::FrontendKey;

/// A state of one [`super::Ruleset`]. Versions of different rulesets, also of clones, never match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    origin: u64,
    number: u64,
}

/// One thing that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// A frontend appeared, changed or vanished.
    Frontend(FrontendKey),
    /// An address of an endpoint on this node appeared or vanished.
    LocalEndpoint(IpAddr),
}

/// What differs from an earlier version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// Too much or unknown: compare everything.
    All,
    /// At most these.
    These(BTreeSet<Change>),
}

/// The last changes of a ruleset.
#[derive(Debug)]
pub(super) struct Journal {
    origin: u64,
    number: u64,
    entries: VecDeque<Change>,
}

/// Entries kept; older versions get [`Changes::All`].
const CAPACITY: usize = 8192;

impl Journal {
    pub(super) fn push(&mut self, change: Change) {
        self.number += 1;
        self.entries.push_back(change);
        if self.entries.len() > CAPACITY {
            self.entries.pop_front();
        }
    }

    pub(super) fn version(&self) -> Version {
        Version { origin: self.origin, number: self.number }
    }

    pub(super) fn since(&self, base: Option<Version>) -> Changes {
        let Some(base) = base.filter(|base| base.origin == self.origin) else {
            return Changes::All;
        };
        let wanted = self.number.saturating_sub(base.number);
        match usize::try_from(wanted) {
            Ok(wanted) if wanted <= self.entries.len() => {
                let skipped = self.entries.len() - wanted;
                Changes::These(self.entries.iter().skip(skipped).copied().collect())
            }
            _ => Changes::All,
        }
    }
}

impl Default for Journal {
    fn default() -> Self {
        static ORIGIN: AtomicU64 = AtomicU64::new(0);
        Self { origin: ORIGIN.fetch_add(1, Ordering::Relaxed), number: 0, entries: VecDeque::new() }
    }
}

/// A clone goes its own way, so it starts a journal of its own.
impl Clone for Journal {
    fn clone(&self) -> Self {
        Self::default()
    }
}
