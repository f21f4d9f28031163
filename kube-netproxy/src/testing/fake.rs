//! A dataplane that only remembers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{Applied, Change, Changes, Dataplane, Error, Frontend, FrontendKey, Result, Ruleset, Version};

/// A dataplane that only remembers what it was given, by difference, as a real one would.
#[derive(Debug, Default)]
pub struct FakeDataplane {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    version: Option<Version>,
    entries: BTreeMap<Change, Option<Arc<Frontend>>>,
    history: Vec<Applied>,
    failures: usize,
}

impl FakeDataplane {
    /// The frontends in force.
    #[must_use]
    pub fn frontends(&self) -> BTreeMap<FrontendKey, Arc<Frontend>> {
        let state = self.state.lock();
        let frontend = |(change, frontend): (&Change, &Option<Arc<Frontend>>)| match change {
            Change::Frontend(key) => Some((*key, frontend.clone()?)),
            Change::LocalEndpoint(_) => None,
        };
        state.entries.iter().filter_map(frontend).collect()
    }

    /// The addresses of endpoints on this node.
    #[must_use]
    pub fn local_endpoints(&self) -> Vec<IpAddr> {
        let address = |change: &Change| match change {
            Change::LocalEndpoint(address) => Some(*address),
            Change::Frontend(_) => None,
        };
        self.state.lock().entries.keys().filter_map(address).collect()
    }

    /// Every application so far.
    #[must_use]
    pub fn history(&self) -> Vec<Applied> {
        self.state.lock().history.clone()
    }

    /// Lets the next `count` applications fail.
    pub fn fail(&self, count: usize) {
        self.state.lock().failures = count;
    }
}

#[async_trait]
impl Dataplane for FakeDataplane {
    async fn apply(&self, ruleset: &Ruleset) -> Result<Applied> {
        self.state.lock().apply(ruleset)
    }

    async fn cleanup(&self) -> Result<()> {
        *self.state.lock() = State::default();
        Ok(())
    }
}

impl State {
    fn apply(&mut self, ruleset: &Ruleset) -> Result<Applied> {
        if self.failures > 0 {
            self.failures -= 1;
            self.version = None;
            let source = std::io::Error::from(std::io::ErrorKind::Interrupted);
            return Err(Error::Io { action: "apply the rules", source });
        }
        let mut applied = Applied { rebuilt: self.version.is_none(), ..Applied::default() };
        let changes = match ruleset.changes_since(self.version) {
            Changes::These(these) => these,
            Changes::All => {
                let frontends = ruleset.frontends().map(|(key, _)| Change::Frontend(*key));
                let endpoints = ruleset.local_endpoints().map(|address| Change::LocalEndpoint(*address));
                frontends.chain(endpoints).chain(self.entries.keys().copied()).collect()
            }
        };
        for change in changes {
            self.change(change, ruleset, &mut applied);
        }
        self.version = Some(ruleset.version());
        self.history.push(applied);
        Ok(applied)
    }

    fn change(&mut self, change: Change, ruleset: &Ruleset, applied: &mut Applied) {
        let wanted = match change {
            Change::Frontend(key) => ruleset.frontend(&key).map(|frontend| Some(frontend.clone())),
            Change::LocalEndpoint(address) => ruleset.is_local_endpoint(&address).then_some(None),
        };
        let known = self.entries.get(&change);
        if known == wanted.as_ref() {
            return;
        }
        applied.removed += usize::from(known.is_some());
        applied.added += usize::from(wanted.is_some());
        match wanted {
            Some(wanted) => self.entries.insert(change, wanted),
            None => self.entries.remove(&change),
        };
    }
}
