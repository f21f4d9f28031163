//! What a decision found out, kept for the next pod of the same kind.

use std::collections::HashMap;
use std::sync::Arc;

use fastrand::Rng;

use super::cycle::decide;
use super::filters::Refusal;
use super::{Decision, PluginScores};
use crate::framework::{Memo, Observer, Plugin, Profile, Watched};
use crate::pod::PodInfo;
use crate::snapshot::{NodeId, NodeView, Snapshot};

/// Verdicts and scores of the previous pod, for pods that differ in name only.
///
/// A verdict or score that depends on nothing but a node and the pod's kind holds until the node changes; only nodes that did
/// are judged anew. What depends on the rest of the cluster, such as affinity and spreading, is judged every time. Decisions
/// are the same as without, down to their explanations. Memory: some 100 bytes for each node.
#[derive(Debug, Default)]
pub struct Reuse {
    kind: Option<Kind>,
    verdicts: Vec<Verdict>,
    /// The verdicts with the pods for which room is made on a node, of nodes that have some.
    crowded: HashMap<NodeId, Verdict>,
    /// The raw scores of each plugin by its place in the profile: when the node had changed last, and the score.
    scores: Vec<Vec<(u64, i64)>>,
    /// What each plugin keeps, by its place in the profile.
    memos: Vec<Memo>,
    scratch: Scratch,
    spent: Spent,
    /// How many nodes refused the previous pod: the next one will need about as much room for reasons.
    pub(super) refusals: usize,
}

/// What was judged by what.
#[derive(Debug)]
struct Kind {
    pod: PodInfo,
    plugins: Vec<Arc<dyn Plugin>>,
    /// Which facts about nodes were known.
    facts: u64,
}

/// The filters' verdict on a node that had changed last at `stamp`.
#[derive(Debug, Clone)]
struct Verdict {
    stamp: u64,
    verdict: Result<(), Refusal>,
}

/// Nodes whose scores are out of date, their places and their new scores.
#[derive(Debug, Default)]
struct Scratch {
    places: Vec<usize>,
    nodes: Vec<NodeId>,
    scores: Vec<i64>,
}

/// Memory of decisions that nobody needs any more.
#[derive(Debug, Default)]
struct Spent {
    decision: Option<Decision>,
    scores: Vec<PluginScores>,
}

impl Reuse {
    /// As [`schedule`](super::schedule()), with what is known from the previous pod.
    #[must_use]
    pub fn schedule(
        &mut self,
        snapshot: &Snapshot,
        pod: &PodInfo,
        profile: &Profile,
        rng: &mut Rng,
    ) -> Decision {
        self.schedule_observed(snapshot, pod, profile, rng, &mut ())
    }

    /// As [`schedule`](Self::schedule); `observer` hears where the decision is.
    #[must_use]
    pub fn schedule_observed(
        &mut self,
        snapshot: &Snapshot,
        pod: &PodInfo,
        profile: &Profile,
        rng: &mut Rng,
        observer: &mut (impl Observer + ?Sized),
    ) -> Decision {
        self.prepare(snapshot, pod, profile);
        decide(snapshot, pod, profile, rng, Some(self), &mut Watched::new(observer))
    }

    /// Takes back a decision that nobody needs any more: the next one is made in its memory.
    pub fn recycle(&mut self, mut decision: Decision) {
        self.spent.scores.append(&mut decision.scores);
        self.spent.scores.truncate(self.scores.len());
        self.spent.decision = Some(decision);
    }

    pub(super) fn fresh_decision(&mut self, nodes: usize) -> Decision {
        match self.spent.decision.take() {
            Some(spent) => Decision::in_place_of(spent, nodes),
            None => Decision::new(nodes),
        }
    }

    /// Two empty columns.
    pub(super) fn columns_for_scores(&mut self) -> (Vec<i64>, Vec<i64>) {
        let Some(PluginScores { mut raw, mut weighted, .. }) = self.spent.scores.pop() else {
            return Default::default();
        };
        raw.clear();
        weighted.clear();
        (raw, weighted)
    }

    /// What the plugin with a certain place in the profile keeps.
    pub(super) fn memo(&mut self, plugin: usize) -> Option<&mut Memo> {
        self.memos.get_mut(plugin)
    }

    pub(crate) fn prepare(&mut self, snapshot: &Snapshot, pod: &PodInfo, profile: &Profile) {
        if !self.kind.as_ref().is_some_and(|kind| kind.holds_for(snapshot, pod, profile)) {
            self.verdicts.clear();
            self.crowded.clear();
            self.scores.clear();
            self.memos.clear();
            let plugins = profile.plugins.iter().map(|enabled| Arc::clone(&enabled.plugin)).collect();
            self.kind = Some(Kind { pod: pod.clone(), plugins, facts: snapshot.facts_stamp() });
        }
        self.verdicts.resize(snapshot.slot_bound(), Verdict { stamp: 0, verdict: Ok(()) });
        self.scores.resize(profile.plugins.len(), Vec::new());
        self.memos.resize_with(profile.plugins.len(), Memo::default);
    }

    /// The verdict on a node by the filters that look at nothing else.
    pub(super) fn verdict(
        &mut self,
        node: NodeView<'_>,
        judge: impl FnOnce() -> Result<(), Refusal>,
    ) -> &Result<(), Refusal> {
        let index = node.id().index();
        if index >= self.verdicts.len() {
            self.verdicts.resize(index + 1, Verdict { stamp: 0, verdict: Ok(()) });
        }
        let kept = &mut self.verdicts[index];
        if kept.stamp != node.stamp() {
            *kept = Verdict { stamp: node.stamp(), verdict: judge() };
        }
        &kept.verdict
    }

    /// The verdict on a node as it was at `stamp`, with the pods for which room is made there.
    pub(super) fn crowded_verdict(&self, node: NodeId, stamp: u64) -> Option<&Result<(), Refusal>> {
        self.crowded.get(&node).filter(|kept| kept.stamp == stamp).map(|kept| &kept.verdict)
    }

    /// Keeps such a verdict, which must depend on nothing but the node.
    pub(super) fn keep_crowded_verdict(&mut self, node: NodeId, stamp: u64, verdict: Result<(), Refusal>) {
        self.crowded.insert(node, Verdict { stamp, verdict });
    }

    /// Writes the raw scores of the plugin with a certain place in the profile; `score` is asked for those of changed nodes.
    pub(super) fn scores(
        &mut self,
        plugin: usize,
        snapshot: &Snapshot,
        nodes: &[NodeId],
        raw: &mut [i64],
        score: impl FnOnce(&[NodeId], &mut [i64]),
    ) {
        let Some(kept) = self.scores.get_mut(plugin) else { return score(nodes, raw) };
        kept.resize(snapshot.slot_bound(), (0, 0));
        let Scratch { places, nodes: changed, scores } = &mut self.scratch;
        places.clear();
        changed.clear();
        for (place, (node, raw)) in nodes.iter().zip(raw.iter_mut()).enumerate() {
            let (stamp, score) = kept.get(node.index()).copied().unwrap_or_default();
            *raw = score;
            if stamp != snapshot.view(*node).stamp() {
                places.push(place);
                changed.push(*node);
            }
        }
        scores.clear();
        scores.resize(changed.len(), 0);
        score(changed, scores);
        for ((place, node), score) in places.iter().zip(changed.iter()).zip(scores.iter()) {
            if let (Some(raw), Some(kept)) = (raw.get_mut(*place), kept.get_mut(node.index())) {
                *raw = *score;
                *kept = (snapshot.view(*node).stamp(), *score);
            }
        }
    }
}

impl Kind {
    fn holds_for(&self, snapshot: &Snapshot, pod: &PodInfo, profile: &Profile) -> bool {
        let plugins = || self.plugins.iter().zip(&profile.plugins);
        self.facts == snapshot.facts_stamp()
            && self.plugins.len() == profile.plugins.len()
            && plugins().all(|(plugin, enabled)| Arc::ptr_eq(plugin, &enabled.plugin))
            && alike(&self.pod, pod)
    }
}

/// Whether two pods differ in nothing that a filter or score may read but their names, and those of what admission adds.
fn alike(a: &PodInfo, b: &PodInfo) -> bool {
    a.node_name == b.node_name
        && a.priority == b.priority
        && a.requests == b.requests
        && a.nonzero == b.nonzero
        && a.is_like(b)
}
