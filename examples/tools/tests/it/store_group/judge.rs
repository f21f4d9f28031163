//! What clients and watchers saw, held against what the members say has happened.

use std::collections::BTreeMap;
use std::fmt;

use kube_store::Revision;
use kube_store::testing::simulation::{Broken, History, Watched};

/// When something began and ended, in any unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// A write that was acknowledged. Each has a key of its own.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) key: String,
    pub(super) revision: Revision,
    pub(super) when: Span,
}

/// A linearizable read of one key.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) key: String,
    /// The store's revision, as told with the answer.
    pub(super) revision: Revision,
    /// When the key was written, if it was there.
    pub(super) found: Option<Revision>,
    pub(super) when: Span,
}

/// Everything that clients saw.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) writes: Vec<Write>,
    pub(super) reads: Vec<Read>,
    /// The watches of one watcher, each of which goes on after the last.
    pub(super) watched: Vec<Watched>,
}

/// What is wrong.
#[derive(Debug, Clone)]
pub(super) enum Defect {
    /// A member's history is not one.
    History(String),
    /// Something acknowledged is not there, or elsewhere.
    LostWrite(String),
    /// A read did not see what was acknowledged before it began.
    StaleRead(String),
    /// A watch was told something else.
    Watch(String),
}

/// Whether a defect is the one that was planted.
pub(super) type IsPlanted = fn(&Defect) -> bool;

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::History(what) => write!(f, "no one history: {what}"),
            Self::LostWrite(what) => write!(f, "a lost write: {what}"),
            Self::StaleRead(what) => write!(f, "a stale read: {what}"),
            Self::Watch(what) => write!(f, "an untrue watch: {what}"),
        }
    }
}

impl From<Broken> for Defect {
    fn from(broken: Broken) -> Self {
        Self::Watch(broken.to_string())
    }
}

impl Seen {
    /// Every member has one and the same history, without gaps; all that was acknowledged is in it, where it was said to be;
    /// reads fit to it and to what was acknowledged before them; and it is what the watcher was told, once and in order.
    pub(super) fn judge(&self, members: &[History]) -> Result<(), Defect> {
        let history = one_history(members)?;
        let written: BTreeMap<String, Revision> = (2..=history.newest())
            .flat_map(|revision| history.events(revision))
            .map(|event| (String::from_utf8_lossy(&event.kv.key).into_owned(), event.kv.mod_revision))
            .collect();
        for write in &self.writes {
            if written.get(&write.key) != Some(&write.revision) {
                let found = written.get(&write.key);
                return Err(Defect::LostWrite(format!("{write:?} was acknowledged, found is {found:?}")));
            }
        }
        self.judge_reads(&written)?;
        self.judge_watches(history)
    }

    fn judge_reads(&self, written: &BTreeMap<String, Revision>) -> Result<(), Defect> {
        let answers = self.answers();
        for read in &self.reads {
            let wanted = written.get(&read.key).copied().filter(|at| *at <= read.revision);
            if read.found != wanted {
                return Err(Defect::StaleRead(format!("{read:?}, and it was written at {wanted:?}")));
            }
            let before = answers.partition_point(|(end, _)| *end < read.when.start);
            let newest = before.checked_sub(1).map_or(0, |at| answers[at].1);
            if newest > read.revision {
                let what = format!("{read:?} began after an answer at revision {newest}");
                return Err(Defect::StaleRead(what));
            }
        }
        Ok(())
    }

    /// When each answer came, in order, and the newest revision that was told by then.
    fn answers(&self) -> Vec<(u64, Revision)> {
        let writes = self.writes.iter().map(|write| (write.when.end, write.revision));
        let reads = self.reads.iter().map(|read| (read.when.end, read.revision));
        let mut answers: Vec<_> = writes.chain(reads).collect();
        answers.sort_unstable();
        let mut newest = 0;
        for (_, revision) in &mut answers {
            newest = newest.max(*revision);
            *revision = newest;
        }
        answers
    }

    fn judge_watches(&self, history: &History) -> Result<(), Defect> {
        self.watched.iter().try_for_each(|watched| watched.check(history))?;
        let newest = self.writes.iter().map(|write| write.revision).max().unwrap_or(0);
        if self.watched.iter().any(|watched| watched.is_done(newest)) {
            return Ok(());
        }
        Err(Defect::Watch(format!("the watcher was not told {newest}")))
    }
}

/// The longest of histories that have no gaps and of which each is the beginning of a longer one.
fn one_history(members: &[History]) -> Result<&History, Defect> {
    let longest = members.iter().max_by_key(|history| history.newest());
    let longest = longest.ok_or_else(|| Defect::History("no member tells one".into()))?;
    for (member, history) in members.iter().enumerate() {
        for revision in 2..=history.newest() {
            if history.events(revision).is_empty() {
                return Err(Defect::History(format!("member {member} has no revision {revision}")));
            }
            if history.events(revision) != longest.events(revision) {
                return Err(Defect::History(format!("member {member} has another revision {revision}")));
            }
        }
    }
    Ok(longest)
}

#[cfg(test)]
mod tests {
    use kube_store::testing::simulation::Told;
    use kube_store::{Event, EventKind, KeyRange, KeyValue, WatchRequest};

    use super::*;

    fn event(revision: Revision) -> Event {
        let key = format!("k{revision}").into();
        let kv = KeyValue {
            key,
            mod_revision: revision,
            create_revision: revision,
            version: 1,
            ..KeyValue::default()
        };
        Event { kind: EventKind::Put, kv, prev: None }
    }

    fn history(revisions: impl IntoIterator<Item = Revision>) -> History {
        let mut history = History::default();
        revisions.into_iter().for_each(|revision| history.add(revision, vec![event(revision)]));
        history
    }

    fn write(revision: Revision, start: u64, end: u64) -> Write {
        Write { key: format!("k{revision}"), revision, when: Span { start, end } }
    }

    fn read(key: Revision, revision: Revision, found: bool, start: u64, end: u64) -> Read {
        Read { key: format!("k{key}"), revision, found: found.then_some(key), when: Span { start, end } }
    }

    fn watched(revisions: impl IntoIterator<Item = Revision>) -> Watched {
        let told = revisions.into_iter().map(|revision| Told::Events(vec![event(revision)])).collect();
        Watched { request: WatchRequest::new(KeyRange::All).from_revision(1), opened: 1, told }
    }

    /// Four writes, one after the other; reads during and after them; a watcher that saw all.
    fn good() -> (Seen, Vec<History>) {
        let writes = (2..6).map(|revision| write(revision, revision as u64 * 10, revision as u64 * 10 + 5));
        let reads = vec![read(3, 2, false, 26, 33), read(3, 3, true, 31, 36), read(5, 5, true, 56, 57)];
        let seen = Seen { writes: writes.collect(), reads, watched: vec![watched(2..6)] };
        (seen, vec![history(2..6), history(2..7), history(2..5)])
    }

    type Spoil = fn(&mut Seen, &mut Vec<History>);

    #[test]
    fn what_is_good_passes() {
        let (seen, members) = good();
        seen.judge(&members).unwrap();
    }

    #[test]
    fn each_defect_is_seen_as_what_it_is() {
        let cases: [(&str, Spoil, IsPlanted); 11] = [
            ("a gap in a history", |_, m| m[0] = history([2, 3, 5]), |d| matches!(d, Defect::History(_))),
            (
                "two histories",
                |_, m| {
                    let mut other = history(2..4);
                    other.add(4, vec![event(40)]);
                    m[0] = other;
                },
                |d| matches!(d, Defect::History(_)),
            ),
            ("nobody who tells anything", |_, m| m.truncate(0), |d| matches!(d, Defect::History(_))),
            ("a lost write", |s, _| s.writes.push(write(9, 90, 91)), |d| matches!(d, Defect::LostWrite(_))),
            (
                "a write at another revision",
                |s, _| s.writes[1].revision = 2,
                |d| matches!(d, Defect::LostWrite(_)),
            ),
            (
                "an old answer",
                |s, _| s.reads.push(read(2, 3, true, 60, 61)),
                |d| matches!(d, Defect::StaleRead(_)),
            ),
            (
                "a read back in time",
                |s, _| s.reads.push(read(2, 4, true, 58, 59)),
                |d| matches!(d, Defect::StaleRead(_)),
            ),
            (
                "a key that is not seen",
                |s, _| s.reads.push(read(2, 5, false, 58, 59)),
                |d| matches!(d, Defect::StaleRead(_)),
            ),
            (
                "a watch with a gap",
                |s, _| s.watched = vec![watched([2, 3, 5])],
                |d| matches!(d, Defect::Watch(_)),
            ),
            (
                "a watch that tells twice",
                |s, _| s.watched = vec![watched([2, 3, 3, 4, 5])],
                |d| matches!(d, Defect::Watch(_)),
            ),
            (
                "a watch that ends early",
                |s, _| s.watched = vec![watched([2, 3])],
                |d| matches!(d, Defect::Watch(_)),
            ),
        ];
        for (name, spoil, is_wanted) in cases {
            let (mut seen, mut members) = good();
            spoil(&mut seen, &mut members);
            let defect = seen.judge(&members).unwrap_err();
            assert!(is_wanted(&defect), "{name}: {defect}");
        }
    }
}
