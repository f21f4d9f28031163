//! Where two schedulers differ.

use std::fmt::Debug;

use super::outcome::Outcome;
use super::picture::Advice;

/// Both outcomes for a pod, and what the library says of it.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    pub(super) peer: &'a Outcome,
    pub(super) ours: &'a Outcome,
    pub(super) advice: &'a Advice,
    /// The scores that the peer has told.
    pub(super) scores: std::collections::BTreeMap<(String, String), i64>,
}

impl Pair<'_> {
    /// Every difference, in words.
    pub(super) fn differences(&self) -> Vec<String> {
        let mut found = Vec::new();
        let (peer, ours) = (self.peer, self.ours);
        let mut differ = |what: &str, peer: &dyn Debug, ours: &dyn Debug| {
            found.push(format!("{what}\n    peer {peer:?}\n    ours {ours:?}"))
        };
        if self.is_overtaken() {
            return found;
        }
        if peer.node.is_some() != ours.node.is_some() {
            differ("bound", &(&peer.node, &peer.condition[2]), &(&ours.node, &ours.condition[2]));
            // Which of them sees what is there is told by what we decide on a fresh list of our side.
            found.push(format!("expected {:?} of {:?}", self.advice.best, self.advice.feasible));
            return found;
        }
        if peer.condition != ours.condition {
            differ("condition", &peer.condition, &ours.condition);
        }
        match (&peer.node, &ours.node) {
            (Some(node), Some(our_node)) => {
                for (whose, node) in [("the peer's node", node), ("our node", our_node)] {
                    if !self.advice.best.contains(node) {
                        differ(whose, &node, &self.advice.best);
                    }
                }
            }
            _ if peer.nominated.is_some() => {
                let said =
                    |outcome: &Outcome| outcome.events.iter().any(|event| event[3] == outcome.condition[2]);
                if !said(peer) || !said(ours) {
                    differ("events", &peer.events, &ours.events);
                }
            }
            _ if peer.condition[2] == ours.condition[2] && peer.events != ours.events => {
                differ("events", &peer.events, &ours.events)
            }
            _ => {}
        }
        found.extend(self.scores());
        found.extend(self.claims());
        found.extend(self.preemption());
        found
    }

    /// Whether ours was bound where it makes room before it was told that it has to: the victims were gone at once.
    fn is_overtaken(&self) -> bool {
        let made = |node: &String| self.advice.ways.iter().any(|(way, _)| way == node);
        self.peer.nominated.is_some() && self.ours.node.as_ref().is_some_and(made)
    }

    fn scores(&self) -> Vec<String> {
        let both = self.scores.keys().chain(self.advice.scores.keys());
        let mut keys: Vec<_> = both
            .filter(|key| {
                self.scores.get(*key).copied().unwrap_or(0)
                    != self.advice.scores.get(*key).copied().unwrap_or(0)
            })
            .collect();
        keys.sort_unstable();
        keys.dedup();
        // Where one node is feasible nobody scores, and a peer that has tried again tells more than we know.
        if keys.is_empty() || self.peer.node.is_none() {
            return Vec::new();
        }
        let line = |key: &(String, String)| {
            format!(
                "{} {}: peer {:?}, ours {:?}",
                key.0,
                key.1,
                self.scores.get(key),
                self.advice.scores.get(key)
            )
        };
        vec![format!("scores\n    {}", keys.iter().map(|key| line(key)).collect::<Vec<_>>().join("\n    "))]
    }

    /// On the same node claims are given the same.
    fn claims(&self) -> Option<String> {
        let (peer, ours) = (self.peer, self.ours);
        (peer.node == ours.node && peer.claims != ours.claims)
            .then(|| format!("claims\n    peer {:?}\n    ours {:?}", peer.claims, ours.claims))
    }

    /// Of ways to make room that cost the same any will do.
    fn preemption(&self) -> Vec<String> {
        let (peer, ours) = (self.peer, self.ours);
        let mut found = Vec::new();
        if peer.nominated.is_some() != ours.nominated.is_some() {
            return vec![format!(
                "nominated\n    peer {:?} {:?}\n    ours {:?} {:?}",
                peer.nominated, peer.victims, ours.nominated, ours.victims
            )];
        }
        if peer.nominated == ours.nominated && peer.then != ours.then {
            found.push(format!(
                "bound after preemption\n    peer {:?} {:?}\n    ours {:?} {:?}",
                peer.then, peer.victims, ours.then, ours.victims
            ));
        }
        if peer.nominated == ours.nominated && peer.victims != ours.victims {
            found.push(format!("victims\n    peer {:?}\n    ours {:?}", peer.victims, ours.victims));
        }
        if peer.nominated != ours.nominated {
            found.push(format!(
                "nominated another node\n    peer {:?} {:?}\n    ours {:?} {:?}\n    ways {:?}",
                peer.nominated, peer.victims, ours.nominated, ours.victims, self.advice.ways
            ));
        }
        found
    }
}
