//! The rules of Raft, looked at after every step of a member; and the one history that they make of all members' states.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use raft::prelude::Entry;

use super::rule::{Checked, Rule};
use crate::mvcc::State;
use crate::raft::core::Core;
use crate::{Event, EventKind, Revision};

/// What one member showed, over all its lives or this one.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Newest term that was durable.
    pub(super) durable_term: u64,
    term: u64,
    applied: u64,
    committed: u64,
    visible: Revision,
}

impl Seen {
    /// A new life: what was not durable may be gone.
    pub(super) fn restart(&mut self) {
        *self = Self { durable_term: self.durable_term, ..Self::default() };
    }
}

/// What is seen of a state at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    revision: Revision,
    compacted: Revision,
    keys: u64,
    leases: u64,
}

/// What all members together showed.
#[derive(Debug, Default)]
pub(super) struct Invariants {
    leaders: BTreeMap<u64, u64>,
    /// By index and term: the term before, and a hash of the entry.
    entries: BTreeMap<(u64, u64), (u64, u64)>,
    /// By index: term and hash, and a term in which it was committed already.
    committed: BTreeMap<u64, (u64, u64, u64)>,
    /// By revision: a hash of its events.
    revisions: BTreeMap<Revision, u64>,
    /// By index: what a state has when it is applied.
    states: BTreeMap<u64, Mark>,
    /// By key: revision and value of each version; `None` when deleted.
    versions: BTreeMap<Bytes, BTreeMap<Revision, Option<Bytes>>>,
}

impl Invariants {
    pub(super) fn leaders(&self) -> usize {
        self.leaders.len()
    }

    /// A leader that answers reads alone has to be the newest.
    pub(super) fn leads_alone(&self, id: u64, term: u64) -> Checked {
        match self.leaders.last_key_value() {
            Some((newest, leader)) if *newest > term => Rule::LeadsAlone.broken(format!(
                "member {id} answers reads alone in term {term}, and {leader} leads term {newest}"
            )),
            _ => Ok(()),
        }
    }

    /// The key as the one history has it at a revision: revision of the last change, and value.
    pub(super) fn at(&self, key: &[u8], revision: Revision) -> Option<(Revision, Bytes)> {
        let (changed, value) = self.versions.get(key)?.range(..=revision).next_back()?;
        value.clone().map(|value| (*changed, value))
    }

    /// Revision that wrote a value, which no other wrote.
    pub(super) fn wrote(&self, key: &[u8], value: &Bytes) -> Option<Revision> {
        let versions = self.versions.get(key)?;
        versions.iter().find(|(_, v)| v.as_ref() == Some(value)).map(|(revision, _)| *revision)
    }

    /// Revisions that deleted a key.
    pub(super) fn deleted(&self, key: &[u8]) -> Vec<Revision> {
        let versions = self.versions.get(key).into_iter().flatten();
        versions.filter(|(_, value)| value.is_none()).map(|(revision, _)| *revision).collect()
    }

    /// Looks at a member after a step that added the entries of `appended`.
    pub(super) fn check(
        &mut self,
        id: u64,
        core: &Core,
        state: &State,
        seen: &mut Seen,
        appended: &std::ops::Range<u64>,
    ) -> Checked {
        self.monotonic(id, core, seen)?;
        self.log_matching(id, core, appended)?;
        self.committed_stays(id, core, seen)?;
        self.one_leader(id, core)?;
        self.one_history(id, state, seen)?;
        self.one_state(id, core, state)
    }

    /// The state follows from the log: what a place in it gave once it gives always, to a member that has just started on
    /// its disk too.
    pub(super) fn one_state(&mut self, id: u64, core: &Core, state: &State) -> Checked {
        let index = core.position().index;
        let mark = Mark {
            revision: state.visible(),
            compacted: state.compacted(),
            keys: state.keys(),
            leases: state.lease_count(),
        };
        let known = self.states.entry(index).or_insert(mark);
        if *known == mark {
            return Ok(());
        }
        Rule::OneState.broken(format!("member {id}: after entry {index} it has {mark:?}, known is {known:?}"))
    }

    fn monotonic(&self, id: u64, core: &Core, seen: &mut Seen) -> Checked {
        let (term, applied, committed) =
            (core.hard_state().term, core.position().index, core.committed_index());
        if term < seen.term || term < seen.durable_term {
            let before = seen.term.max(seen.durable_term);
            return Rule::Monotonic.broken(format!("member {id}: term {term} after {before}"));
        }
        if applied < seen.applied || committed < seen.committed {
            return Rule::Monotonic.broken(format!(
                "member {id}: applied {applied} after {}, committed {committed} after {}",
                seen.applied, seen.committed
            ));
        }
        if applied > committed {
            return Rule::Monotonic
                .broken(format!("member {id}: applied {applied} of {committed} committed"));
        }
        (seen.term, seen.applied) = (term, applied);
        Ok(())
    }

    /// Log matching: entries of the same index and term are the same, and so are all before them.
    fn log_matching(&mut self, id: u64, core: &Core, appended: &std::ops::Range<u64>) -> Checked {
        if appended.is_empty() {
            return Ok(());
        }
        let (before, entries) = core.log();
        let mut prev = before.term;
        for entry in entries {
            let shown = (prev, digest(entry));
            prev = entry.term;
            if appended.contains(&entry.index) {
                let known = *self.entries.entry((entry.index, entry.term)).or_insert(shown);
                if known != shown {
                    let (index, term) = (entry.index, entry.term);
                    return Rule::LogMatching
                        .broken(format!("member {id}: another entry {index} of term {term}"));
                }
            }
        }
        Ok(())
    }

    /// What one member knows to be committed never becomes anything else, anywhere.
    fn committed_stays(&mut self, id: u64, core: &Core, seen: &mut Seen) -> Checked {
        let committed = core.committed_index();
        if committed == seen.committed {
            return Ok(());
        }
        let (_, entries) = core.log();
        for entry in entries.filter(|entry| entry.index > seen.committed && entry.index <= committed) {
            let (term, hash) = (entry.term, digest(entry));
            let known = *self.committed.entry(entry.index).or_insert((term, hash, core.hard_state().term));
            if (known.0, known.1) != (term, hash) {
                let index = entry.index;
                return Rule::CommittedStays
                    .broken(format!("member {id}: entry {index} was committed as another"));
            }
        }
        seen.committed = committed;
        Ok(())
    }

    /// Election safety, and leader completeness.
    fn one_leader(&mut self, id: u64, core: &Core) -> Checked {
        let Some(term) = core.leads() else { return Ok(()) };
        match self.leaders.get(&term) {
            Some(leader) if *leader == id => return Ok(()),
            Some(leader) => {
                return Rule::OneLeader.broken(format!("members {leader} and {id} both lead term {term}"));
            }
            None => self.leaders.insert(term, id),
        };
        let (before, entries) = core.log();
        let log: BTreeMap<u64, &Entry> = entries.map(|entry| (entry.index, entry)).collect();
        for (index, (term_of, hash, committed_in)) in self.committed.range(before.index + 1..) {
            // A leader of an earlier term need not have what a later one committed.
            let has = *committed_in >= term
                || log.get(index).is_some_and(|entry| (entry.term, digest(entry)) == (*term_of, *hash));
            if !has {
                let what = format!("member {id} leads term {term} without committed entry {index}");
                return Rule::OneLeader.broken(what);
            }
        }
        Ok(())
    }

    /// State-machine safety: every revision is the same everywhere.
    fn one_history(&mut self, id: u64, state: &State, seen: &mut Seen) -> Checked {
        for revision in seen.visible.max(state.compacted()) + 1..=state.visible() {
            let Some(events) = state.events(revision) else { continue };
            let hash = hash(|h| events.iter().for_each(|event| hash_event(event, h)));
            match self.revisions.get(&revision) {
                Some(known) if *known == hash => {}
                Some(_) => {
                    return Rule::OneHistory
                        .broken(format!("member {id}: revision {revision} is another elsewhere"));
                }
                None => {
                    self.revisions.insert(revision, hash);
                    events.iter().for_each(|event| self.record(event));
                }
            }
        }
        seen.visible = state.visible();
        Ok(())
    }

    fn record(&mut self, event: &Event) {
        let value = (event.kind == EventKind::Put).then(|| event.kv.value.clone());
        self.versions.entry(event.kv.key.clone()).or_default().insert(event.kv.mod_revision, value);
    }
}

fn digest(entry: &Entry) -> u64 {
    hash(|h| (entry.data.as_ref(), entry.context.as_ref()).hash(h))
}

fn hash_event(event: &Event, h: &mut DefaultHasher) {
    let kv = &event.kv;
    (&kv.key, &kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease).hash(h);
    (event.kind == EventKind::Put).hash(h);
}

pub(super) fn hash(write: impl FnOnce(&mut DefaultHasher)) -> u64 {
    let mut hasher = DefaultHasher::new();
    write(&mut hasher);
    hasher.finish()
}
