//! Scoring feasible nodes.

use super::{Decision, PluginScores, Reuse};
use crate::framework::{Cycle, Profile, Reach};

/// Scores the feasible nodes. A single one needs no score.
pub(super) fn rank(
    cycle: &Cycle<'_>,
    profile: &Profile,
    mut reuse: Option<&mut Reuse>,
    decision: &mut Decision,
) {
    let nodes = &decision.feasible;
    decision.totals = vec![0; nodes.len()];
    if nodes.len() < 2 {
        return;
    }
    let scoring = profile.plugins.iter().enumerate().filter(|(_, enabled)| enabled.weight != 0);
    for (place, enabled) in scoring {
        let Some(mut score) = enabled.plugin.as_score().and_then(|score| score.compile(cycle, nodes)) else {
            continue;
        };
        let mut raw = vec![0; nodes.len()];
        match &mut reuse {
            Some(reuse) if score.reach() == Reach::Node => {
                reuse.scores(place, cycle.snapshot, nodes, &mut raw, |nodes, raw| score.score(nodes, raw));
            }
            _ => score.score(nodes, &mut raw),
        }
        let mut weighted = raw.clone();
        score.normalize(&mut weighted);
        for (total, score) in decision.totals.iter_mut().zip(&mut weighted) {
            *score *= enabled.weight;
            *total += *score;
        }
        decision.scores.push(PluginScores {
            plugin: enabled.plugin.name(),
            weight: enabled.weight,
            raw,
            weighted,
        });
    }
}
