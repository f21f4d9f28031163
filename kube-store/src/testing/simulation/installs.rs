//! Crashes while a snapshot is put in place.

use super::world::World;
use crate::raft::core::{Core, Work};

/// How far a member had come with a snapshot, by what its disk was writing when it crashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum InstallStep {
    /// The mark that says that the records of the store mean nothing.
    Mark,
    /// Deletes of the old records.
    Clear,
    /// New records.
    Fill,
    /// The end: the mark goes, and it is noted how far the new records are applied.
    Swap,
    /// Deletes of what a snapshot has left that was interrupted.
    Litter,
}

impl InstallStep {
    #[cfg(test)]
    pub(super) const ALL: [Self; 5] = [Self::Mark, Self::Clear, Self::Fill, Self::Swap, Self::Litter];

    /// What the member does with this batch; `None` when it has nothing to do with a snapshot.
    fn of(core: &Core, work: &Work) -> Option<Self> {
        let puts: Vec<&[u8]> =
            work.batch.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key).collect();
        let has = |key: &[u8]| puts.contains(&key);
        // Every batch but those that have to do with snapshots says how far the member has applied its log.
        match puts.first() {
            _ if work.replaced => Some(Self::Swap),
            None if core.is_installing() => Some(Self::Clear),
            None => Some(Self::Litter),
            // The last of them: what is left is as at the beginning of a member that exists.
            _ if core.position().index == 0 && has(b"rt") && !has(b"ri") => Some(Self::Litter),
            _ if !core.is_installing() => None,
            Some(key) if key.starts_with(b"r") => Some(Self::Mark),
            Some(_) => Some(Self::Fill),
        }
    }
}

impl World {
    /// Whether a member crashes now that it has this to write; notes where it was.
    pub(super) fn interrupts(&mut self, id: u64, work: &Work) -> bool {
        if !self.settings.interrupt_snapshots || self.is_calm() {
            return false;
        }
        let Some(step) = self.core(id).and_then(|core| InstallStep::of(core, work)) else { return false };
        // What comes late is interrupted rarely enough as it is.
        let one_in = match step {
            InstallStep::Mark | InstallStep::Clear => 6,
            InstallStep::Fill | InstallStep::Swap | InstallStep::Litter => 2,
        };
        if self.rng.u8(..one_in) > 0 {
            return false;
        }
        self.say(|| format!("member {id} is interrupted at {step:?} of a snapshot"));
        *self.report.interrupted.entry(step).or_default() += 1;
        self.report.interrupted_joins += usize::from(id > self.settings.members);
        true
    }
}
