//! Scoring feasible nodes.

use super::{Decision, PluginScores, Reuse};
use crate::framework::{Cycle, EnabledPlugin, NodeScore, Observer, Point, Profile, Reach, Watched};
use crate::snapshot::NodeId;

/// A plugin's preferences, compiled for a pod.
struct Compiled<'a> {
    /// The plugin's place in the profile.
    place: usize,
    enabled: &'a EnabledPlugin,
    score: Box<dyn NodeScore + 'a>,
}

/// Scores the feasible nodes. A single one needs no score.
pub(super) fn rank<O: Observer + ?Sized>(
    cycle: &Cycle<'_>,
    profile: &Profile,
    mut reuse: Option<&mut Reuse>,
    decision: &mut Decision,
    watched: &mut Watched<'_, O>,
) {
    let Decision { feasible: nodes, scores, totals, .. } = decision;
    totals.clear();
    totals.resize(nodes.len(), 0);
    if nodes.len() < 2 {
        return;
    }
    let prepare = |watched: &mut Watched<'_, O>| compile(cycle, profile, nodes, watched);
    let compiled = watched.point(Point::PreScore, prepare, |_| None);
    let score = |watched: &mut Watched<'_, O>| {
        for mut compiled in compiled {
            let one = compiled.apply(cycle, nodes, reuse.as_deref_mut(), watched);
            totals.iter_mut().zip(&one.weighted).for_each(|(total, score)| *total += score);
            scores.push(one);
        }
    };
    watched.point(Point::Score, score, |()| None);
}

fn compile<'a, O: Observer + ?Sized>(
    cycle: &Cycle<'a>,
    profile: &'a Profile,
    nodes: &[NodeId],
    watched: &mut Watched<'_, O>,
) -> Vec<Compiled<'a>> {
    let mut compiled = Vec::with_capacity(profile.plugins.len());
    for (place, enabled) in profile.plugins.iter().enumerate().filter(|(_, enabled)| enabled.weight != 0) {
        let Some(score) = enabled.plugin.as_score() else { continue };
        let compile = || score.compile(cycle, nodes);
        let score = watched.plugin(Point::PreScore, enabled.plugin.name(), compile, |_| None);
        if let Some(score) = score {
            watched.evaluated(Point::PreScore, place, 1);
            compiled.push(Compiled { place, enabled, score });
        }
    }
    compiled
}

impl Compiled<'_> {
    fn apply<O: Observer + ?Sized>(
        &mut self,
        cycle: &Cycle<'_>,
        nodes: &[NodeId],
        mut reuse: Option<&mut Reuse>,
        watched: &mut Watched<'_, O>,
    ) -> PluginScores {
        let Self { place, enabled, score } = self;
        let (plugin, weight) = (enabled.plugin.name(), enabled.weight);
        let (mut raw, mut weighted) =
            reuse.as_deref_mut().map_or_else(Default::default, Reuse::columns_for_scores);
        raw.resize(nodes.len(), 0);
        let (reach, mut asked) = (score.reach(), 0);
        let mut ask = |nodes: &[NodeId], raw: &mut [i64]| {
            asked = nodes.len();
            score.score(nodes, raw);
        };
        let rate = || match reuse {
            Some(reuse) if reach == Reach::Node => {
                reuse.scores(*place, cycle.snapshot, nodes, &mut raw, &mut ask);
            }
            _ => ask(nodes, &mut raw),
        };
        watched.plugin(Point::Score, plugin, rate, |()| None);
        watched.evaluated(Point::Score, *place, asked);
        weighted.extend_from_slice(&raw);
        watched.plugin(Point::NormalizeScore, plugin, || score.normalize(&mut weighted), |()| None);
        weighted.iter_mut().for_each(|score| *score *= weight);
        PluginScores { plugin, weight, raw, weighted }
    }
}
