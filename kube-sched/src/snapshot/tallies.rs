//! Counts of pods by what other pods demand of them, kept up to date with every event.
//!
//! A tally exists while a placed pod needs it: pods of one template share it, so that what a scheduling cycle needs to know of
//! thousands of pods is read from one column. A change costs as much as the tallies it concerns: they are found by a label
//! that their pods must carry, not by trying all.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::column::Column;
use super::{NodeId, Snapshot};
use crate::pod::PodInfo;
use crate::terms::{PodQuery, Role, TallyKey};

/// What is counted, and the count in each domain of its topology.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub(super) key: TallyKey,
    /// The number of its topology.
    pub(super) topology: usize,
    /// How many terms of placed pods need it.
    pub(super) uses: usize,
    pub(super) counts: Column<i64>,
    /// The sum over all domains.
    pub(super) total: i64,
}

/// Which tallies there are and how to find them.
#[derive(Debug, Clone, Default)]
pub(super) struct Tallies {
    pub(super) ids: super::map::CowMap<TallyKey, u32>,
    pub(super) all: Column<Option<Arc<Tally>>>,
    free: Column<u32>,
    /// By the hash of a label that every matching pod has.
    by_label: super::map::CowMap<u64, Arc<Vec<u32>>>,
    /// Those without such a label.
    anywhere: Arc<Vec<u32>>,
    /// How many of them depend on the labels of namespaces.
    reading_namespaces: usize,
}

/// The count in the domain of each node.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    slots: Column<u32>,
    counts: Column<i64>,
    total: i64,
}

impl Counts {
    /// Counts of one's own, by the domains that `slots` numbers.
    pub(crate) fn new(slots: Column<u32>, counts: Column<i64>) -> Self {
        let total = counts.iter().sum();
        Self { slots, counts, total }
    }

    /// The number of a node's domain.
    #[inline]
    pub(crate) fn domain(&self, node: NodeId) -> Option<usize> {
        (self.slots.at(node.index()) as usize).checked_sub(1)
    }

    /// The count in a node's domain; `None` for a node outside the topology.
    #[inline]
    pub(crate) fn at(&self, node: NodeId) -> Option<i64> {
        Some(self.counts.at(self.domain(node)?))
    }

    /// The sum over all domains.
    pub(crate) fn total(&self) -> i64 {
        self.total
    }
}

/// Sums of counts by the domains of one topology.
#[derive(Debug, Clone)]
pub(crate) struct Sums {
    topology: usize,
    slots: Column<u32>,
    sums: Values,
}

/// A single tally is read where it is, for there may be thousands of domains and only a few are looked at.
#[derive(Debug, Clone)]
enum Values {
    Scaled(Column<i64>, i64),
    Added(Vec<i64>),
}

impl Values {
    fn add(&mut self, counts: &Column<i64>, factor: i64, domains: usize) {
        if let Self::Scaled(first, scale) = self {
            let mut sums: Vec<_> = first.iter().map(|count| count * *scale).collect();
            sums.resize(domains, 0);
            *self = Self::Added(sums);
        }
        if let Self::Added(sums) = self {
            for (sum, count) in sums.iter_mut().zip(counts.iter()) {
                *sum += count * factor;
            }
        }
    }
}

impl Sums {
    /// The sum in a node's domain, zero outside the topology.
    #[inline]
    pub(crate) fn at(&self, node: NodeId) -> i64 {
        let slot = (self.slots.at(node.index()) as usize).wrapping_sub(1);
        match &self.sums {
            Values::Scaled(counts, factor) => counts.at(slot) * factor,
            Values::Added(sums) => sums.get(slot).copied().unwrap_or_default(),
        }
    }
}

fn hash(label: (&str, &str)) -> u64 {
    let mut hasher = DefaultHasher::new();
    label.hash(&mut hasher);
    hasher.finish()
}

impl Tallies {
    fn get(&self, id: u32) -> Option<&Arc<Tally>> {
        self.all.get(id as usize)?.as_ref()
    }

    fn list(&mut self, query: &PodQuery, change: impl FnOnce(&mut Vec<u32>)) {
        let Some(anchor) = query.anchor() else { return change(Arc::make_mut(&mut self.anywhere)) };
        let anchor = hash(anchor);
        let mut ids = self.by_label.remove(&anchor).unwrap_or_default();
        change(Arc::make_mut(&mut ids));
        if !ids.is_empty() {
            self.by_label.insert(anchor, ids);
        }
    }

    /// The tallies whose queries may match a pod with these labels, each once.
    fn candidates<'a>(
        &'a self,
        labels: Option<&'a BTreeMap<String, String>>,
    ) -> impl Iterator<Item = (u32, &'a Arc<Tally>)> {
        let labelled = labels.into_iter().flatten().flat_map(|(key, value)| {
            let label = (key.as_str(), value.as_str());
            let ids = self.by_label.get(&hash(label)).map_or(&[][..], |ids| ids);
            let known = ids.iter().filter_map(|id| Some((*id, self.get(*id)?)));
            known.filter(move |(_, tally)| tally.key.query.anchor() == Some(label))
        });
        labelled.chain(self.anywhere.iter().filter_map(|id| Some((*id, self.get(*id)?))))
    }
}

impl Snapshot {
    /// Whether a placed or waiting pod is meant by a query.
    pub(crate) fn selects(&self, query: &PodQuery, pod: &PodInfo) -> bool {
        let namespace = pod.namespace();
        let labels = || self.namespaces.get(namespace).map(|labels| &**labels);
        !(query.only_staying && pod.is_terminating())
            && query.terms.iter().all(|term| term.matches(namespace, pod.labels(), labels))
    }

    /// The counts of a tally, if it is kept.
    pub(crate) fn counts(&self, key: &TallyKey) -> Option<Counts> {
        let tally = self.tallies.get(*self.tallies.ids.get(key)?)?;
        let slots = self.topologies.get(tally.topology)?.slots.clone();
        Some(Counts { slots, counts: tally.counts.clone(), total: tally.total })
    }

    /// Each domain's count of a tally that is kept, in no particular order.
    pub(crate) fn domain_counts(&self, key: &TallyKey) -> Vec<i64> {
        let tally = self.tallies.ids.get(key).and_then(|id| self.tallies.get(*id));
        let Some((tally, topology)) = tally.and_then(|t| Some((t, self.topologies.get(t.topology)?))) else {
            return Vec::new();
        };
        topology.values.numbers().map(|slot| tally.counts.at(slot as usize)).collect()
    }

    /// Whether every node is in a topology that a tally counts by.
    pub(crate) fn covers_all_nodes(&self, topology: &str) -> bool {
        let known = self.topologies.iter().find(|known| known.uses > 0 && *known.key == *topology);
        known.is_some_and(|topology| topology.nodes == self.node_count())
    }

    /// The number of a node's domain in a topology that is kept, and one more than the largest number.
    pub(crate) fn domains(&self, topology: &str) -> Option<(Column<u32>, usize)> {
        let known = self.topologies.iter().find(|known| known.uses > 0 && *known.key == *topology)?;
        Some((known.slots.clone(), known.values.bound()))
    }

    /// Sums by topology over the tallies of placed pods' terms that concern `pod`, each times the factor that
    /// `factor` gives its relation.
    pub(crate) fn sums_of_others(&self, pod: &PodInfo, factor: impl Fn(Role) -> i64) -> Vec<Sums> {
        let mut sums = Vec::new();
        for (_, tally) in self.tallies.candidates(pod.labels()) {
            let factor =
                if tally.total == 0 && tally.key.role != Role::Inclined { 0 } else { factor(tally.key.role) };
            if factor != 0 && tally.key.role != Role::Matching && self.selects(&tally.key.query, pod) {
                self.add_to(&mut sums, tally, factor);
            }
        }
        sums
    }

    /// Adds a tally that is kept, `factor` times.
    pub(crate) fn add_tally(&self, sums: &mut Vec<Sums>, key: &TallyKey, factor: i64) {
        if let Some(tally) = self.tallies.ids.get(key).and_then(|id| self.tallies.get(*id)) {
            self.add_to(sums, tally, factor);
        }
    }

    fn add_to(&self, sums: &mut Vec<Sums>, tally: &Tally, factor: i64) {
        let Some(topology) = self.topologies.get(tally.topology) else { return };
        match sums.iter_mut().find(|sums| sums.topology == tally.topology) {
            Some(known) => known.sums.add(&tally.counts, factor, topology.values.bound()),
            None => sums.push(Sums {
                topology: tally.topology,
                slots: topology.slots.clone(),
                sums: Values::Scaled(tally.counts.clone(), factor),
            }),
        }
    }

    /// A fork that keeps all of `keys`; `None` if this snapshot does.
    pub(crate) fn keeping<'a>(&self, keys: impl IntoIterator<Item = &'a TallyKey>) -> Option<Self> {
        let mut fork: Option<Self> = None;
        for key in keys {
            if self.tallies.ids.get(key).is_none() {
                fork.get_or_insert_with(|| self.fork()).hold_tally(key);
            }
        }
        fork
    }

    /// The number of a tally, counted from scratch if nobody has needed it so far.
    pub(super) fn hold_tally(&mut self, key: &TallyKey) -> u32 {
        if let Some(&id) = self.tallies.ids.get(key) {
            if let Some(tally) = self.tallies.all.make_mut(id as usize) {
                Arc::make_mut(tally).uses += 1;
            }
            return id;
        }
        let topology = self.hold_topology(&key.topology);
        let mut tally = Tally { key: key.clone(), topology, uses: 1, counts: Column::default(), total: 0 };
        if key.role == Role::Matching {
            self.count_from_scratch(&mut tally);
        }
        let fresh = u32::try_from(self.tallies.all.len()).unwrap_or(u32::MAX);
        let id = self.tallies.free.pop().unwrap_or(fresh);
        *self.tallies.all.make_mut(id as usize) = Some(Arc::new(tally));
        self.tallies.ids.insert(key.clone(), id);
        self.tallies.list(&key.query, |ids| ids.push(id));
        self.tallies.reading_namespaces += usize::from(key.query.reads_namespaces());
        id
    }

    fn count_from_scratch(&self, tally: &mut Tally) {
        let Some(topology) = self.topologies.get(tally.topology) else { return };
        for node in self.nodes() {
            let Some(slot) = topology.slot(node.id()) else { continue };
            let matching = node.pods().iter().filter(|pod| self.selects(&tally.key.query, pod)).count();
            if matching > 0 {
                let matching = i64::try_from(matching).unwrap_or(i64::MAX);
                *tally.counts.make_mut(slot) += matching;
                tally.total += matching;
            }
        }
    }

    pub(super) fn release_tally(&mut self, id: u32) {
        let Some(slot) = self.tallies.all.get(id as usize).and_then(Option::as_ref) else { return };
        if slot.uses > 1 {
            if let Some(tally) = self.tallies.all.make_mut(id as usize) {
                Arc::make_mut(tally).uses -= 1;
            }
            return;
        }
        let (key, topology) = (slot.key.clone(), slot.topology);
        *self.tallies.all.make_mut(id as usize) = None;
        self.tallies.ids.remove(&key);
        self.tallies.list(&key.query, |ids| ids.retain(|other| *other != id));
        self.tallies.reading_namespaces -= usize::from(key.query.reads_namespaces());
        self.tallies.free.push(id);
        self.release_topology(topology);
    }

    /// Counts a pod on a node `sign` times in every tally that it concerns: those that it matches and `own`, the ones that it
    /// holds with its weight in them.
    pub(super) fn tally_pod(&mut self, node: NodeId, pod: &PodInfo, own: &[(u32, i64)], sign: i64) {
        let matching: Vec<u32> = self
            .tallies
            .candidates(pod.labels())
            .filter(|(_, tally)| tally.key.role == Role::Matching && self.selects(&tally.key.query, pod))
            .map(|(id, _)| id)
            .collect();
        let own = own.iter().filter(|(_, weight)| *weight != 0).copied();
        for (id, weight) in matching.into_iter().map(|id| (id, 1)).chain(own) {
            let Some(topology) = self.tallies.get(id).map(|tally| tally.topology) else { continue };
            let Some(slot) = self.topologies.get(topology).and_then(|topology| topology.slot(node)) else {
                continue;
            };
            if let Some(tally) = self.tallies.all.make_mut(id as usize) {
                let tally = Arc::make_mut(tally);
                *tally.counts.make_mut(slot) += weight * sign;
                tally.total += weight * sign;
            }
        }
    }

    /// Makes a change that concerns the pods on some nodes while these are not counted.
    pub(super) fn recount_around(&mut self, nodes: &[NodeId], change: impl FnOnce(&mut Self)) {
        let pods: Vec<_> = nodes
            .iter()
            .flat_map(|node| self.pods.get(node.index()).into_iter().flat_map(|pods| pods.iter()))
            .filter_map(|pod| self.pods_by_key.get(&pod.key))
            .map(|placement| (placement.node, Arc::clone(&placement.pod), Arc::clone(&placement.holds)))
            .collect();
        pods.iter().for_each(|(node, pod, holds)| self.tally_pod(*node, pod, holds, -1));
        change(self);
        pods.iter().for_each(|(node, pod, holds)| self.tally_pod(*node, pod, holds, 1));
    }

    /// Takes in the labels of a namespace: selectors of namespaces see them.
    pub fn upsert_namespace(&mut self, name: &str, labels: BTreeMap<String, String>) {
        if self.namespaces.get(name).is_none_or(|known| **known != labels) {
            self.change_namespace(name, |snapshot| {
                snapshot.namespaces.insert(name.into(), Arc::new(labels));
            });
        }
    }

    /// Forgets a namespace.
    pub fn remove_namespace(&mut self, name: &str) {
        if self.namespaces.get(name).is_some() {
            self.change_namespace(name, |snapshot| drop(snapshot.namespaces.remove(name)));
        }
    }

    /// The labels of a namespace, if it is known.
    #[must_use]
    pub fn namespace_labels(&self, name: &str) -> Option<&Arc<BTreeMap<String, String>>> {
        self.namespaces.get(name)
    }

    fn change_namespace(&mut self, name: &str, change: impl FnOnce(&mut Self)) {
        let concerned = |pods: &Vec<Arc<PodInfo>>| pods.iter().any(|pod| pod.namespace() == name);
        let mut nodes = Vec::new();
        // Without a selector of namespaces, nobody has looked at the labels.
        if self.tallies.reading_namespaces > 0 {
            let indices = 0..self.infos.len();
            nodes.extend(
                indices
                    .filter(|index| self.pods.get(*index).is_some_and(|pods| concerned(pods)))
                    .map(|index| NodeId(u32::try_from(index).unwrap_or(u32::MAX))),
            );
        }
        self.recount_around(&nodes, change);
    }
}
