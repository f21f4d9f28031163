//! What the API server says, and what it is told.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::{RETRY, Worker};
use crate::{
    Result,
    pod::{
        mirror::{is_mirror, is_static, with_status_of},
        spec::{containers, pod_ref},
    },
    worker::{
        Latest,
        ops::{Subject, send_status},
        report::difference,
    },
};

impl Worker {
    /// Takes what the API server says.
    pub(super) fn hear(&mut self, news: Latest) {
        match news {
            Latest::Gone(at) => {
                self.vanished.get_or_insert(at);
            }
            Latest::Pod(pod) => self.accept(&pod),
        }
    }

    fn accept(&mut self, pod: &Pod) {
        // The answer to a report about a static pod is its mirror, of which only the status counts.
        let own = is_mirror(pod).then(|| with_status_of(&self.pod, Some(pod)));
        let pod = own.as_ref().unwrap_or(pod);
        let number = |p: &Pod| p.metadata.resource_version.as_deref().and_then(|v| v.parse::<u64>().ok());
        // The answer to a status patch may overtake the watch.
        if let (Some(new), Some(old)) = (number(pod), number(&self.pod))
            && new < old
        {
            return;
        }
        self.known = pod.status.clone().unwrap_or_default();
        let own = self.pod.status.take();
        let respec = self.pod.spec != pod.spec;
        self.pod = pod.clone();
        self.pod.status = Some(overlay(self.known.clone(), own));
        if respec {
            self.containers = Arc::new(containers(&self.pod));
            self.memory.problems.clear();
        }
    }

    /// Sends the status when it differs; true when the API server has it.
    pub(super) fn report(&mut self, subject: &Subject, wanted: PodStatus, now: Timestamp) -> bool {
        // A static pod without a mirror has nowhere to be told of; its name may be another pod's.
        let unseen = is_static(&self.pod) && self.pod.metadata.resource_version.is_none();
        if unseen || self.vanished.is_some() || difference(&self.known, &wanted).is_none() {
            return !self.reporting;
        }
        if self.reporting || self.report_after.is_some_and(|at| at > now) {
            return false;
        }
        self.reporting = true;
        self.reported_over.clone_from(&self.pod.metadata.resource_version);
        let (subject, known) = (subject.clone(), self.known.clone());
        self.ops.spawn(async move { (None, send_status(subject, known, wanted).await) });
        false
    }

    pub(super) fn reported(&mut self, result: Result<Option<Box<Pod>>>, now: Timestamp) {
        self.reporting = false;
        match result {
            Ok(Some(pod)) => {
                // A patch that changes nothing would be sent again at once, for ever. The version is the one before it was sent: the watch
                // may have told of the change before the answer did.
                let in_vain = pod.metadata.resource_version == self.reported_over;
                self.report_after = in_vain.then(|| now + RETRY);
                self.accept(&pod);
            }
            Ok(None) => self.report_after = None,
            // Gone: the watch will say so.
            Err(error) if error.is_not_found() => self.report_after = Some(now + RETRY),
            Err(error) => {
                tracing::warn!(pod = %pod_ref(&self.pod), %error, "cannot report the status");
                self.report_after = Some(now + RETRY);
            }
        }
    }
}

/// What others wrote, with what this worker last computed.
fn overlay(theirs: PodStatus, own: Option<PodStatus>) -> PodStatus {
    let Some(mut own) = own else { return theirs };
    let mine = own.conditions.take().unwrap_or_default();
    let others = theirs.conditions.unwrap_or_default();
    let is_mine = |kind: &str| OWNED.contains(&kind);
    let mut all: Vec<_> = mine.into_iter().filter(|c| is_mine(&c.type_)).collect();
    let missing: Vec<_> = others.into_iter().filter(|o| !all.iter().any(|c| c.type_ == o.type_)).collect();
    all.extend(missing);
    own.conditions = Some(all);
    own
}

/// Condition types that the node writes.
const OWNED: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
