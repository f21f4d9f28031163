//! Decisions in which extenders have a say: the stages of a decision, with questions in between.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};

use super::core::Stage;
use crate::extender::{Extender, Offer, Victims};
use crate::framework::{Code, NodeStatus, Preemption, Reason, Status, Watched};
use crate::pod::PodInfo;
use crate::schedule::{FailedAt, Outcome, PluginScores, place, remedy, search};
use crate::snapshot::{NodeId, Snapshot};
use crate::{Decision, Error};

/// What decisions, metrics and queueing call every extender.
const NAME: &str = "Extender";

/// Node objects as the server wrote them, by name.
pub(super) type NodeTexts = HashMap<Arc<str>, Box<RawValue>>;

/// The extenders, and the nodes for those that do not know them.
pub(super) struct Consultation<'a> {
    extenders: Vec<&'a Extender>,
    pod: Box<RawValue>,
    nodes: &'a NodeTexts,
}

impl<'a> Consultation<'a> {
    /// `None` if no extender is interested in the pod.
    pub(super) fn new(
        extenders: &'a [Extender],
        pod: &PodInfo,
        nodes: &'a NodeTexts,
    ) -> Option<Result<Self, Error>> {
        let interested: Vec<_> =
            extenders.iter().filter(|extender| extender.config().is_interested_in(pod)).collect();
        if interested.is_empty() {
            return None;
        }
        Some(text_of(pod).map(|pod| Self { extenders: interested, pod, nodes }))
    }

    /// Decides where the pod of the stage runs.
    pub(super) async fn decide(&self, stage: Stage<'_>) -> Decision {
        let Stage { cycle, profile, reuse, rng, mut timer } = stage;
        let watched = &mut Watched::new(&mut timer);
        let mut decision = search(&cycle, profile, rng, Some(&mut *reuse), watched);
        if let Err(error) = self.filter(cycle.snapshot, &mut decision).await {
            return failed(decision, &error);
        }
        if !decision.feasible.is_empty() {
            let more = self.prioritize(cycle.snapshot, &decision.feasible).await;
            place(&cycle, profile, rng, Some(reuse), more, &mut decision, watched);
        } else if decision.needs_remedy() {
            remedy(&cycle, profile, Some(reuse), &mut decision, watched);
            if decision.preemption.is_some() && self.judges_preemption() {
                let mut plugins =
                    profile.plugins.iter().filter_map(|enabled| enabled.plugin.as_post_filter());
                let ways = plugins.find_map(|plugin| {
                    Some(plugin.ways_out(&cycle, profile, &decision.refused)).filter(|ways| !ways.is_empty())
                });
                match self.preempt(cycle.snapshot, ways.unwrap_or_default()).await {
                    Ok(None) => {
                        decision.preemption = None;
                        decision.post_filter.push("preemption: no candidate node for preemption".into());
                    }
                    Ok(way) => decision.preemption = way,
                    Err(error) => return failed(decision, &error),
                }
            }
        }
        decision
    }

    fn judges_preemption(&self) -> bool {
        self.extenders.iter().any(|extender| !extender.config().preempt_verb.is_empty())
    }

    fn offers<'b>(&'b self, snapshot: &'b Snapshot, nodes: &[NodeId]) -> Vec<Offer<'b>> {
        let offer = |node: &NodeId| {
            let name = snapshot.view(*node).name();
            Offer { name, object: self.nodes.get(name).map(|text| &**text) }
        };
        nodes.iter().map(offer).collect()
    }

    /// Lets each extender remove nodes from those that the ones before it left.
    async fn filter(&self, snapshot: &Snapshot, decision: &mut Decision) -> Result<(), Error> {
        for extender in &self.extenders {
            if extender.config().filter_verb.is_empty() || decision.feasible.is_empty() {
                continue;
            }
            let answer = extender.filter(&self.pod, &self.offers(snapshot, &decision.feasible)).await;
            let Some(filtered) = tolerate(extender, answer)? else { continue };
            let named = |names: &BTreeMap<String, String>, node: NodeId| {
                names.get(snapshot.view(node).name()).cloned()
            };
            for node in std::mem::take(&mut decision.feasible) {
                if filtered.left.iter().any(|name| name == snapshot.view(node).name()) {
                    decision.feasible.push(node);
                    continue;
                }
                let hopeless = named(&filtered.hopeless, node);
                let code = if hopeless.is_some() { Code::Unresolvable } else { Code::Unschedulable };
                let reason = hopeless.or_else(|| named(&filtered.failed, node)).unwrap_or_default();
                let status = Status { code, reasons: Reason::from(reason).into() };
                decision.refused.push(NodeStatus { node, plugin: NAME, status });
            }
        }
        Ok(())
    }

    /// The extenders' scores. One that fails gives none, as upstream has it.
    async fn prioritize(&self, snapshot: &Snapshot, feasible: &[NodeId]) -> Vec<PluginScores> {
        let mut all = Vec::new();
        if feasible.len() < 2 {
            return all;
        }
        let offers = self.offers(snapshot, feasible);
        for extender in self.extenders.iter().filter(|e| !e.config().prioritize_verb.is_empty()) {
            let scores = match extender.prioritize(&self.pod, &offers).await {
                Ok(scores) => scores,
                Err(error) => {
                    tracing::debug!(%error, "no score from an extender");
                    continue;
                }
            };
            let raw: Vec<_> =
                offers.iter().map(|offer| scores.get(offer.name).copied().unwrap_or_default()).collect();
            let weighted = raw.iter().map(|score| score * extender.factor()).collect();
            all.push(PluginScores { plugin: NAME, weight: extender.config().weight, raw, weighted });
        }
        all
    }

    /// Lets each extender judge the ways out that the ones before it left; the best of the rest is taken.
    async fn preempt(
        &self,
        snapshot: &Snapshot,
        mut ways: Vec<Preemption>,
    ) -> Result<Option<Preemption>, Error> {
        for extender in self.extenders.iter().filter(|e| !e.config().preempt_verb.is_empty()) {
            if ways.is_empty() {
                break;
            }
            let texts = ways.iter().flat_map(|way| &way.victims).filter_map(|key| snapshot.pod(key));
            let whole = !extender.config().node_cache_capable;
            let texts: BTreeMap<_, _> = texts
                .filter(|_| whole)
                .map(|pod| Ok((Arc::clone(&pod.key), text_of(pod)?)))
                .collect::<Result<_, Error>>()?;
            let questions: Vec<_> = ways.iter().map(|way| victims(snapshot, way, &texts)).collect();
            let answer = extender.preempt(&self.pod, &questions).await;
            let Some(left) = tolerate(extender, answer)? else { continue };
            ways.retain_mut(|way| match left.get(snapshot.view(way.node).name()) {
                Some(uids) => {
                    let pods = snapshot.view(way.node).pods().iter();
                    let pods = pods.filter(|pod| uids.iter().any(|uid| *pod.uid == **uid));
                    way.victims = pods.map(|pod| Arc::clone(&pod.key)).collect();
                    !way.victims.is_empty()
                }
                None => false,
            });
        }
        // They are in the order of what they cost, and the first of several that are as good is taken.
        Ok(ways.into_iter().min_by_key(|way| way.violations))
    }
}

fn victims<'a>(
    snapshot: &'a Snapshot,
    way: &'a Preemption,
    texts: &'a BTreeMap<Arc<str>, Box<RawValue>>,
) -> Victims<'a> {
    let pods = way.victims.iter().filter_map(|key| snapshot.pod(key));
    Victims {
        node: snapshot.view(way.node).name(),
        pods: pods.map(|pod| (&*pod.uid, texts.get(&pod.key).map(|text| &**text))).collect(),
        violations: way.violations,
    }
}

fn text_of(pod: &PodInfo) -> Result<Box<RawValue>, Error> {
    to_raw_value(&pod.to_object()).map_err(|error| Error::Decode(Box::new(error)))
}

/// `None` if the extender failed and may be ignored.
fn tolerate<T>(extender: &Extender, answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if extender.config().ignorable => {
            tracing::info!(%error, "going on without an extender");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The decision when an extender that may not be ignored has failed.
pub(super) fn failed(decision: Decision, error: &Error) -> Decision {
    let status = Status::error(error.to_string());
    Decision { outcome: Outcome::Failed { stage: FailedAt::Extender, plugin: NAME, status }, ..decision }
}
