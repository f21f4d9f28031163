//! A pod goes where its claims have volumes, or can have them.

use std::time::Duration;

use serde::Deserialize;

use super::matching::{NoProvision, find, provisionable, waits_for_pod};
use super::{Use, storage_hint, uses};
use crate::Error;
use crate::complaint::Complaints;
use crate::framework::{
    Binding, ClusterEvent, Code, Cycle, EventKind, Feasible, Filter, Hint, NodeFilter, Plugin, PluginArgs,
    PreFilter, QueueingHints, Reason, Reasons, Reserve, Status,
};
use crate::plugins::args::{ShapePoint, accept, decode};
use crate::pod::PodInfo;
use crate::snapshot::{Claim, NodeView, Snapshot, Storage, VolumePlan};

const NO_MATCH: &str = "node(s) didn't find available persistent volumes to bind";
const CONFLICT: &str = "node(s) didn't match PersistentVolume's node affinity";
const NO_SPACE: &str = "node(s) did not have enough free storage";
const NO_VOLUME: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

/// Keeps pods with claims on nodes that can reach their volumes. Claims of classes that wait for their first pod get a
/// volume that suits the node, or one is made for it, before the pod is bound.
#[derive(Debug, Clone)]
pub struct VolumeBinding {
    pub(super) timeout: Duration,
}

impl Default for VolumeBinding {
    /// Waits ten minutes for volumes, as upstream.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(600) }
    }
}

impl VolumeBinding {
    /// The name in profiles.
    pub const NAME: &str = "VolumeBinding";

    /// A plugin with `VolumeBindingArgs`: `bindTimeoutSeconds`. Shapes for scoring by capacity are refused, as upstream does
    /// without their feature gate.
    ///
    /// # Errors
    /// [`Error::PluginArgs`] when the arguments are not valid.
    pub fn from_args(args: &PluginArgs) -> Result<Self, Error> {
        let Args { bind_timeout_seconds, shape } =
            decode(Self::NAME, args, &["bindTimeoutSeconds", "shape"])?;
        let mut complaints = Complaints::default();
        let negative = bind_timeout_seconds.filter(|seconds| *seconds < 0);
        if let Some(seconds) = negative {
            let reason = "invalid BindTimeoutSeconds, should not be a negative value";
            complaints.invalid("bindTimeoutSeconds", seconds, reason);
        }
        if let Some(shape) = shape {
            let value = serde_json::to_string(&shape).unwrap_or_default();
            let reason =
                "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring";
            complaints.invalid("shape", value, reason);
        }
        accept(Self::NAME, complaints)?;
        let timeout = bind_timeout_seconds.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
        Ok(timeout.map_or_else(Self::default, |timeout| Self { timeout }))
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Args {
    bind_timeout_seconds: Option<i64>,
    shape: Option<Vec<ShapePoint>>,
}

impl Plugin for VolumeBinding {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    crate::takes_part!(PreFilter, Filter, Reserve, PreBind, QueueingHints);
}

impl PreFilter for VolumeBinding {
    fn pre_filter(&self, cycle: &Cycle<'_>) -> Result<Feasible, Status> {
        let storage = cycle.snapshot.storage();
        for used in uses(cycle.pod) {
            usable(storage, cycle.pod, &used).map_err(Status::unresolvable)?;
        }
        let immediate =
            |claim: &&Claim| !claim.is_bound() && (claim.volume.is_some() || !waits_for_pod(storage, claim));
        match super::claims(cycle.snapshot, cycle.pod).find(immediate) {
            Some(_) => Err(Status::unresolvable("pod has unbound immediate PersistentVolumeClaims")),
            None => Ok(Feasible::All),
        }
    }
}

/// Why a claim is no good for the pod, wherever it goes.
fn usable(storage: &Storage, pod: &PodInfo, used: &Use) -> Result<(), String> {
    let name = used.name();
    let Some(claim) = storage.claim(&used.key) else {
        return Err(if used.ephemeral {
            format!("waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}")
        } else {
            format!("persistentvolumeclaim {name:?} not found")
        });
    };
    let volume = claim.volume.as_deref().unwrap_or_default();
    if claim.is_lost() {
        return Err(format!(
            "persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"
        ));
    }
    if claim.object.metadata.deletion_timestamp.is_some() {
        return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
    }
    let mut owners = claim.object.metadata.owner_references.iter().flatten();
    let mut owned = || owners.any(|owner| owner.controller == Some(true) && *owner.uid == *pod.uid);
    if used.ephemeral && !owned() {
        return Err(format!("PVC {} was not created for pod {} (pod is not owner)", used.key, pod.key));
    }
    Ok(())
}

/// A pod's claims as they are judged on each node.
struct Claims<'a> {
    storage: &'a Storage,
    bound: Vec<&'a Claim>,
    /// Smallest first, so that each gets the smallest volume that suits it.
    unbound: Vec<&'a Claim>,
}

impl<'a> Claims<'a> {
    fn of(snapshot: &'a Snapshot, pod: &PodInfo) -> Option<Self> {
        let (bound, mut unbound): (Vec<_>, Vec<_>) =
            super::claims(snapshot, pod).partition(|claim| claim.is_bound());
        unbound.sort_by_key(|claim| claim.size);
        let any = !bound.is_empty() || !unbound.is_empty();
        any.then_some(Self { storage: snapshot.storage(), bound, unbound })
    }

    /// What would have to be done on a node, or why that is impossible.
    fn plan(&self, node: NodeView<'_>) -> Result<VolumePlan, Status> {
        let (elsewhere, plan) = (self.bound_elsewhere(node), self.match_unbound(node));
        let reasons = elsewhere.into_iter().chain(plan.as_ref().err().copied()).map(Reason::from);
        match Reasons::new(reasons) {
            Some(reasons) => Err(Status { code: Code::Unresolvable, reasons }),
            None => Ok(plan.unwrap_or_default()),
        }
    }

    fn bound_elsewhere(&self, node: NodeView<'_>) -> Option<&'static str> {
        let labels = node.info().map(|info| &info.labels)?;
        self.bound.iter().find_map(|claim| {
            let Some(volume) = self.storage.volume(claim.volume.as_deref()?) else { return Some(NO_VOLUME) };
            (!volume.reachable_from(labels)).then_some(CONFLICT)
        })
    }

    fn match_unbound(&self, node: NodeView<'_>) -> Result<VolumePlan, &'static str> {
        let mut plan = VolumePlan::default();
        let Some(info) = node.info() else { return Ok(plan) };
        for claim in &self.unbound {
            match &claim.selected_node {
                Some(selected) if selected != node.name() => return Err(NO_MATCH),
                Some(_) => plan.provisions.push((*claim).clone()),
                None => match find(self.storage, claim, &info.labels, &plan.bindings) {
                    Some(volume) => plan.bindings.push(((*claim).clone(), volume.clone())),
                    None => plan.provisions.push((*claim).clone()),
                },
            }
        }
        for claim in &plan.provisions {
            provisionable(self.storage, claim, &info.labels).map_err(|no| match no {
                NoProvision::NotThere => NO_MATCH,
                NoProvision::NoSpace => NO_SPACE,
            })?;
        }
        Ok(plan)
    }
}

impl Filter for VolumeBinding {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>> {
        Some(Box::new(Claims::of(cycle.snapshot, cycle.pod)?))
    }
}

impl NodeFilter for Claims<'_> {
    fn check(&mut self, node: NodeView<'_>) -> Result<(), Status> {
        self.plan(node).map(drop)
    }
}

impl Reserve for VolumeBinding {
    fn reserve(&self, snapshot: &mut Snapshot, binding: &Binding<'_>) -> Result<(), Status> {
        let plan = match (Claims::of(snapshot, binding.pod), snapshot.node(binding.node)) {
            (Some(claims), Some(node)) => claims.plan(node)?,
            _ => return Ok(()),
        };
        if !plan.is_empty() {
            snapshot.storage_mut().set_plan(binding.pod.key.clone(), binding.node, plan);
        }
        Ok(())
    }

    fn unreserve(&self, snapshot: &mut Snapshot, binding: &Binding<'_>) {
        if snapshot.storage().plan(&binding.pod.key).is_some() {
            snapshot.storage_mut().drop_plan(&binding.pod.key);
        }
    }
}

impl QueueingHints for VolumeBinding {
    fn events(&self) -> &'static [EventKind] {
        &[
            EventKind::NodeAdded,
            EventKind::NodeUpdated,
            EventKind::StorageChanged,
            EventKind::PodUpdated,
            EventKind::Unknown,
        ]
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        match event {
            ClusterEvent::NodeUpdated { old, new } if old.labels == new.labels => Hint::Skip,
            event => storage_hint(pod, event).unwrap_or(Hint::Queue),
        }
    }
}
