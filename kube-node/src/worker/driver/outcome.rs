//! What becomes of what was begun.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{RETRY, Worker};
use crate::{
    Error,
    events::Level,
    pod::{
        backoff::Backoff,
        observed::{Busy, Problem, Volumes},
        spec::{full_name, pod_ref},
    },
    seam::{ContainerReason, ContainerState},
    worker::{ops::Outcome, start::StartError},
};

/// Between two attempts to make a sandbox.
const SANDBOX_RETRY: SignedDuration = SignedDuration::from_secs(10);

impl Worker {
    /// A start was cancelled: nothing is known about it but that it is over.
    pub(super) fn forget_aborted(&mut self) {
        let ended: Vec<String> =
            self.starts.iter().filter(|(_, h)| h.is_finished()).map(|(n, _)| n.clone()).collect();
        for name in ended {
            self.starts.remove(&name);
            self.memory.busy.remove(&Busy::Start(name));
        }
    }

    pub(super) fn finish(&mut self, busy: Option<Busy>, outcome: Outcome) {
        if let Some(busy) = &busy {
            self.memory.busy.remove(busy);
        }
        let now = self.context.clock.now();
        match outcome {
            Outcome::Mounted(Ok(mounted)) => {
                self.mounted = Arc::new(mounted);
                self.memory.volumes = Volumes::Mounted;
                self.memory.mount_retry = None;
            }
            Outcome::Unmounted(Ok(())) => self.memory.volumes = Volumes::Unmounted,
            Outcome::Mounted(Err(error)) | Outcome::Unmounted(Err(error)) => {
                tracing::debug!(pod = %pod_ref(&self.pod), %error, "volumes");
                self.memory.mount_retry = Some(now + RETRY);
            }
            Outcome::Made(result) => {
                if let Err(error) = result {
                    self.no_sandbox(&error, now);
                }
            }
            Outcome::Sandbox(result) => {
                if let Err(error) = result {
                    tracing::warn!(pod = %pod_ref(&self.pod), %error, "sandbox");
                    self.held.insert(Busy::Sandbox, now + RETRY);
                }
            }
            Outcome::Started(name, result) => {
                self.starts.remove(&name);
                if let Err(error) = result {
                    self.remember_problem(&name, error, now);
                } else {
                    self.memory.images.remove(&name);
                }
            }
            Outcome::Stopped(id, result) => {
                if let Err(error) = result {
                    tracing::warn!(pod = %pod_ref(&self.pod), %id, %error, "cannot stop a container");
                    self.memory.stopping.remove(&id);
                    self.held.insert(Busy::Stop(id), now + RETRY);
                }
            }
            Outcome::Removed(id) => {
                self.memory.stopping.remove(&id);
            }
            Outcome::Deleted(result) => {
                // The watch will tell that the pod is gone; should it not, it is deleted again.
                let again = if result.is_ok() { RETRY * 5 } else { RETRY };
                self.held.insert(Busy::Delete, now + again);
                if let Err(error) = result {
                    tracing::warn!(pod = %pod_ref(&self.pod), %error, "cannot delete the pod");
                }
            }
            Outcome::Reported(result) => self.reported(result, now),
        }
    }

    /// A sandbox could not be made. Upstream's kubelet tries again after 10 s, and after 1 s when something is only not ready yet. It does not
    /// make the pauses longer: what is in the way (no address left, no network plugin yet) goes without anybody touching the pod, which
    /// should start soon after.
    fn no_sandbox(&mut self, error: &Error, now: Timestamp) {
        tracing::warn!(pod = %pod_ref(&self.pod), %error, "sandbox");
        let pause = if matches!(error, Error::Unavailable { .. }) { RETRY } else { SANDBOX_RETRY };
        self.memory.sandbox_retry = self.memory.sandbox_retry.max(Some(now + pause));
    }

    fn remember_problem(&mut self, name: &str, error: StartError, now: Timestamp) {
        let Some(image) = error.image else {
            let until = now + SignedDuration::from_secs(10);
            let problem = Problem { reason: error.reason, message: error.message, until, later: None };
            // A container that was made and has ended tells its own story.
            if error.reason != "PostStartHookError" {
                self.memory.problems.insert(name.to_owned(), problem);
            }
            return;
        };
        let next = Backoff::next(self.memory.images.get(name), now);
        self.memory.images.insert(name.to_owned(), next);
        let text = format!("Back-off pulling image {image:?}: {}: {}", error.reason, error.message);
        let later = Some((now + next.delay / 5, "ImagePullBackOff", text));
        let problem =
            Problem { reason: error.reason, message: error.message, until: now + next.delay, later };
        self.memory.problems.insert(name.to_owned(), problem);
    }

    /// Tells once per wait that a container waits.
    pub(super) fn say_backoff(&mut self, now: Timestamp) {
        let pod = full_name(&pod_ref(&self.pod));
        let mut tell = |name: &str, key: Timestamp, message: String| {
            if self.told_backoff.insert(name.to_owned(), key) != Some(key) {
                self.context.events.pod(&self.pod, Some(name), Level::Warning, "BackOff", message);
            }
        };
        for (name, problem) in &self.memory.problems {
            if problem.shown(now).0 == "ImagePullBackOff" {
                tell(
                    name,
                    problem.until,
                    problem.shown(now).1.split(": ").next().unwrap_or_default().to_owned(),
                );
            }
        }
        for (name, backoff) in &self.memory.crashes {
            let Some(ended) = self.observed.latest(name).filter(|c| c.state == ContainerState::Exited) else {
                continue;
            };
            let failed = ended.finished_at.unwrap_or(ended.created_at);
            if Backoff::until(Some(backoff), failed, now).is_some() && ended.reason != ContainerReason::None {
                tell(name, failed, format!("Back-off restarting failed container {name} in pod {pod}"));
            }
        }
    }
}
