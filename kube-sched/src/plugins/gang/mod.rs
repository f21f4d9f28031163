//! Pods of a workload that are placed together or not at all.
//!
//! Off by default as in Kubernetes v1.35, where the feature gates `GenericWorkload` and `GangScheduling` turn it on; here a profile
//! that enables the plugin does. Upstream also tries members again at once that were refused before; here they wait until
//! something happens that may help them.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::WorkloadReference;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::framework::{
    Binding, ClusterEvent, EventKind, Hint, Permit, PermitDecision, Plugin, PreEnqueue, QueueingHints, Status,
};
use crate::pod::PodInfo;
use crate::snapshot::{GangKey, Gangs, GateView, Snapshot};

/// How long the first of a gang's pods waits on its node for the others, as upstream.
const TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Lets the pods of a group with a `gang` policy into the queue when `minCount` of them exist, and lets them be bound when
/// so many have their nodes.
#[derive(Debug, Default)]
pub struct GangScheduling {
    /// Until when each gang waits, of those that wait.
    deadlines: Mutex<HashMap<GangKey, Instant>>,
}

impl GangScheduling {
    /// The name in profiles.
    pub const NAME: &str = "GangScheduling";

    /// How long a pod of the gang is to wait. All of its pods wait until the same moment.
    fn patience(&self, gang: GangKey) -> Duration {
        let now = Instant::now();
        let mut deadlines = self.deadlines.lock();
        deadlines.retain(|_, deadline| *deadline > now);
        let deadline = deadlines.entry(gang).or_insert(now + TIMEOUT);
        deadline.duration_since(now)
    }
}

impl Plugin for GangScheduling {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    crate::takes_part!(PreEnqueue, Permit, QueueingHints);
}

fn reference(pod: &PodInfo) -> Option<&WorkloadReference> {
    pod.spec()?.workload_ref.as_ref()
}

fn workload_key(pod: &PodInfo, reference: &WorkloadReference) -> String {
    format!("{}/{}", pod.namespace(), reference.name)
}

/// How many pods have to be there at least; `None` if any number will do. The error is the name of what is missing.
fn min_count(gangs: &Gangs, pod: &PodInfo, reference: &WorkloadReference) -> Result<Option<usize>, Missing> {
    let workload = gangs.workload(&workload_key(pod, reference)).ok_or(Missing::Workload)?;
    let policy = Gangs::policy(workload, &reference.pod_group).ok_or(Missing::Group)?;
    let number = policy.gang.as_ref().map(|gang| usize::try_from(gang.min_count).unwrap_or_default());
    Ok(number)
}

/// What a pod refers to and is not there.
enum Missing {
    Workload,
    Group,
}

fn no_group(reference: &WorkloadReference) -> String {
    format!("pod group {:?} doesn't exist for a workload {:?}", reference.pod_group, reference.name)
}

impl PreEnqueue for GangScheduling {
    fn pre_enqueue(&self, pod: &PodInfo, view: &GateView) -> Result<(), Status> {
        let Some((reference, gang)) = reference(pod).zip(GangKey::of(pod)) else { return Ok(()) };
        let wanted = min_count(view.gangs(), pod, reference).map_err(|missing| {
            Status::unresolvable(match missing {
                // The grammar is upstream's.
                Missing::Workload => {
                    format!("waiting for pods's workload {:?} to appear in scheduling queue", reference.name)
                }
                Missing::Group => no_group(reference),
            })
        })?;
        if view.gangs().members(&gang).count() < wanted.unwrap_or_default() {
            let reason = "waiting for minCount pods from a gang to appear in scheduling queue";
            return Err(Status::unresolvable(reason));
        }
        Ok(())
    }
}

impl Permit for GangScheduling {
    fn permit(&self, snapshot: &Snapshot, binding: &Binding<'_>) -> Result<PermitDecision, Status> {
        let pod = binding.pod;
        let Some((reference, gang)) = reference(pod).zip(GangKey::of(pod)) else {
            return Ok(PermitDecision::Allow);
        };
        let wanted = min_count(snapshot.gangs(), pod, reference).map_err(|missing| {
            let (namespace, name) = (pod.namespace(), &reference.name);
            Status::error(match missing {
                Missing::Workload => {
                    let absent = format!("workload.scheduling.k8s.io {name:?} not found");
                    format!("failed to get workload {namespace}/{name}: {absent}")
                }
                Missing::Group => no_group(reference),
            })
        })?;
        let Some(wanted) = wanted else { return Ok(PermitDecision::Allow) };
        // This one has its node, too, though the snapshot does not say so yet.
        let others = snapshot.gangs().members(&gang).filter(|key| ***key != *pod.key);
        let placed: Vec<Arc<str>> = others.filter(|key| snapshot.pod(key).is_some()).cloned().collect();
        if placed.len() + 1 < wanted {
            return Ok(PermitDecision::Wait(self.patience(gang)));
        }
        self.deadlines.lock().remove(&gang);
        Ok(PermitDecision::AllowTogether(placed))
    }
}

impl QueueingHints for GangScheduling {
    fn events(&self) -> &'static [EventKind] {
        &[EventKind::GangMemberArrived, EventKind::WorkloadChanged, EventKind::Unknown]
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        let helps = match event {
            ClusterEvent::GangMemberArrived(other) => GangKey::of(other) == GangKey::of(pod),
            ClusterEvent::WorkloadChanged { key } => {
                reference(pod).is_some_and(|reference| workload_key(pod, reference) == **key)
            }
            ClusterEvent::Unknown => true,
            _ => false,
        };
        if helps { Hint::Queue } else { Hint::Skip }
    }
}
