//! The sets of one deployment while a plan is being made.

use super::{View, history, strategy::Bounds, template};
use crate::runner::{Action, Note, Severity, reference};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use std::sync::Arc;

/// A deployment's sets, with the changes planned so far. Sets are written once at the end, however often a plan
/// changes them.
#[derive(Debug)]
pub(super) struct Sets<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) spec: &'a DeploymentSpec,
    pub(super) bounds: Bounds,
    all: Vec<Planned>,
    newest: Option<usize>,
}

#[derive(Debug)]
struct Planned {
    seen: Arc<ReplicaSet>,
    set: ReplicaSet,
}

/// The size a set has or will have.
pub(super) fn size(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// The available replicas a set reports.
pub(super) fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

impl<'a> Sets<'a> {
    pub(super) fn of(view: &'a View, spec: &'a DeploymentSpec) -> Self {
        let mut members = view.claim.members();
        let age = |set: &Arc<ReplicaSet>| {
            (set.metadata.creation_timestamp.as_ref().map(|time| time.0), set.metadata.name.clone())
        };
        members.sort_by_key(age);
        // Of several sets with the same template, the oldest is the one; that is deterministic, and all agree.
        let newest = members.iter().position(|set| template::is_made_from(set, &spec.template));
        let all = members.into_iter().map(|seen| Planned { set: seen.as_ref().clone(), seen }).collect();
        Self { deployment: &view.deployment, spec, bounds: Bounds::of(spec), all, newest }
    }

    /// The set of the current template.
    pub(super) fn newest(&self) -> Option<&ReplicaSet> {
        self.newest.and_then(|at| self.all.get(at)).map(|planned| &planned.set)
    }

    /// Every set, oldest first.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &ReplicaSet> {
        self.all.iter().map(|planned| &planned.set)
    }

    /// The sets of other templates, oldest first.
    pub(super) fn old(&self) -> impl DoubleEndedIterator<Item = &ReplicaSet> {
        let newest = self.newest;
        self.all
            .iter()
            .enumerate()
            .filter(move |(at, _)| Some(*at) != newest)
            .map(|(_, planned)| &planned.set)
    }

    /// The sets that want pods.
    pub(super) fn active(&self) -> impl Iterator<Item = &ReplicaSet> {
        self.all().filter(|set| size(set) > 0)
    }

    /// The pods that all sets want.
    pub(super) fn total(&self) -> i32 {
        self.all().map(size).sum()
    }

    /// The pods of all sets that are available.
    pub(super) fn total_available(&self) -> i32 {
        self.all().map(available).sum()
    }

    /// The revision the newest set must at least have.
    pub(super) fn next_revision(&self) -> i64 {
        self.old().map(history::revision).max().unwrap_or(0) + 1
    }

    /// Changes a set by name.
    pub(super) fn change(&mut self, name: &str, change: impl FnOnce(&mut ReplicaSet)) {
        let named = |planned: &&mut Planned| planned.set.metadata.name.as_deref() == Some(name);
        if let Some(planned) = self.all.iter_mut().find(named) {
            change(&mut planned.set);
        }
    }

    /// Gives a set a size and notes the deployment's own.
    pub(super) fn scale(&mut self, name: &str, to: i32) {
        let bounds = self.bounds;
        self.change(name, |set| {
            set.spec.get_or_insert_default().replicas = Some(to.max(0));
            history::note_size(set, bounds);
        });
    }

    /// The writes, and the events about sizes, that the changes come down to.
    pub(super) fn writes(&self) -> Vec<Action> {
        let changed = self.all.iter().filter(|planned| planned.set != *planned.seen);
        changed.flat_map(|planned| self.write(planned)).collect()
    }

    fn write(&self, Planned { seen, set }: &Planned) -> Vec<Action> {
        let mut actions = vec![Action::Update(set.clone().into())];
        let (from, to) = (size(seen), size(set));
        if from != to {
            actions.push(scaled(self.deployment, set.metadata.name.as_deref().unwrap_or_default(), from, to));
        }
        actions
    }
}

/// The event about a set's new size.
pub(super) fn scaled(deployment: &Deployment, name: &str, from: i32, to: i32) -> Action {
    let direction = if from < to { "up" } else { "down" };
    Action::from(Note {
        about: reference(deployment),
        severity: Severity::Normal,
        reason: "ScalingReplicaSet",
        message: format!("Scaled {direction} replica set {name} from {from} to {to}"),
    })
}
