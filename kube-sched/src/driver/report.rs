//! Events, conditions and evictions: everything that is written besides bindings.

use std::sync::Arc;

use futures::{StreamExt, future, stream};
use jiff::Timestamp;
use k8s_openapi::api::resource::v1::ResourceClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::Client;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::outbox::{Attempt, Duty, Nomination, Outbox};
use super::series::{Occurrence, Series, SeriesKey};
use crate::clock::Clock;
use crate::metrics::{Call, Metrics};
use crate::pod::PodInfo;
use crate::request::Objects;

/// Longest note of an event, in bytes.
const MAX_NOTE: usize = 1024;
/// Requests under way at a time.
const CONCURRENCY: usize = 16;

/// An event to record. Events may be lost, conditions and evictions may not: see [`Outbox`].
#[derive(Debug)]
pub(super) enum Report {
    Scheduled { pod: Arc<PodInfo>, node: Arc<str> },
    Refused { pod: Arc<PodInfo>, message: String },
}

/// Writes reports and does the duties in the outbox.
#[derive(Debug)]
pub(super) struct Reporter {
    pub(super) client: ClientHandle,
    pub(super) clock: Clock,
    pub(super) instance: String,
    pub(super) series: Mutex<Series>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) metrics: Metrics,
}

/// A client that can be printed.
#[derive(Clone)]
pub(super) struct ClientHandle(pub(super) Client);

impl std::fmt::Debug for ClientHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Reporter {
    /// Writes until the sender of reports is gone and the outbox closed and empty, or `abort` fires.
    pub(super) async fn run(self, reports: mpsc::Receiver<Report>, abort: CancellationToken) {
        let recorder = Arc::new(self);
        let writer = Arc::clone(&recorder);
        let outbox = Arc::clone(&recorder.outbox);
        let duties = stream::unfold(outbox, |outbox| async move { Some((outbox.next().await?, outbox)) });
        let recording = incoming(reports).for_each_concurrent(CONCURRENCY, move |report| {
            let recorder = Arc::clone(&recorder);
            async move { recorder.record(report).await }
        });
        let writing = duties.for_each_concurrent(CONCURRENCY, move |duty| {
            let writer = Arc::clone(&writer);
            async move { writer.fulfil(duty).await }
        });
        abort.run_until_cancelled(future::join(recording, writing)).await;
    }

    async fn record(&self, report: Report) {
        match report {
            Report::Scheduled { pod, node } => {
                let note = format!("Successfully assigned {} to {node}", pod.key);
                self.event(Told::new(&pod, "Normal", "Scheduled", "Binding", note)).await;
            }
            Report::Refused { pod, message } => {
                self.event(Told::new(&pod, "Warning", "FailedScheduling", "Scheduling", message)).await;
            }
        }
    }

    async fn fulfil(&self, duty: Duty) {
        let result = match &duty {
            Duty::Condition { pod, reason, message, nomination } => {
                self.condition(pod, reason, message, nomination).await
            }
            Duty::Eviction { victim, by, .. } => self.evict(victim, by).await,
            Duty::Deallocation { claim, .. } => self.deallocate(claim).await,
        };
        let attempt = match &result {
            Ok(()) => Attempt::Done,
            Err(error) if may_succeed_later(error) => Attempt::Failed,
            Err(_) => Attempt::Refused,
        };
        if let Err(error) = result {
            tracing::warn!(%error, pod = %duty.key(), ?attempt, "cannot write the status");
        }
        self.outbox.finished(duty.key(), attempt);
        if let (Attempt::Done, Duty::Eviction { victim, by, node }) = (attempt, &duty) {
            self.preempted(victim, by, node).await;
        }
    }

    /// Records what is told of a pod, or counts it when it has been told lately.
    async fn event(&self, told: Told<'_>) {
        let Told { pod, reason, .. } = told;
        let key = SeriesKey { uid: Arc::clone(&pod.uid), reason, note: told.note.clone() };
        let now = self.clock.now();
        let occurrence = self.series.lock().count(key.clone(), pod.name(), now);
        let events = Objects::events(&self.client.0, pod.namespace());
        let result = match occurrence {
            Occurrence::Again { name, count } => {
                let series = json!({"count": count, "lastObservedTime": MicroTime(now)});
                events.merge(&name, json!({"series": series})).await
            }
            Occurrence::First { name } => events.create(&told.event(&name, now, &self.instance)).await,
        };
        if let Err(error) = result {
            self.series.lock().forget(&key);
            tracing::debug!(%error, "cannot record an event");
        }
    }

    /// Sets `PodScheduled` to false, unless it says the same already.
    async fn condition(
        &self,
        pod: &PodInfo,
        reason: &str,
        message: &str,
        nomination: &Nomination,
    ) -> Result<(), kube::Error> {
        let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
        let old = conditions
            .iter()
            .find(|condition| condition.type_ == "PodScheduled")
            .filter(|old| old.status == "False");
        let same = old.is_some_and(|old| {
            old.reason.as_deref() == Some(reason) && old.message.as_deref() == Some(message)
        });
        let nominated = nomination.change(pod.nominated_node());
        if same && nominated.is_none() {
            return Ok(());
        }
        let since =
            old.and_then(|old| old.last_transition_time.clone()).unwrap_or_else(|| Time(self.clock.now()));
        let mut status = json!({"conditions": [{
            "type": "PodScheduled", "status": "False", "reason": reason, "message": message,
            "lastProbeTime": null, "lastTransitionTime": since, "observedGeneration": pod.generation,
        }]});
        if let Some(node) = nominated {
            status["nominatedNodeName"] = node.into();
        }
        let start = Instant::now();
        let patched = self.patch_status(pod, &status).await;
        self.metrics.called(Call::StatusPatch, patched.is_ok(), start.elapsed());
        patched
    }

    /// Makes a pod go, unless it is gone already.
    async fn evict(&self, victim: &PodInfo, by: &PodInfo) -> Result<(), kube::Error> {
        let message = format!("{}: preempting to accommodate a higher priority pod", by.scheduler_name());
        let status = json!({"conditions": [{
            "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": message,
            "lastProbeTime": null, "lastTransitionTime": Time(self.clock.now()),
        }]});
        let pods = Objects::pods(&self.client.0, victim.namespace());
        let evicted = async {
            self.patch_status(victim, &status).await?;
            pods.delete(victim.name(), &victim.uid).await
        };
        match evicted.await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            answer => answer,
        }
    }

    async fn preempted(&self, victim: &PodInfo, by: &PodInfo, node: &str) {
        let note = format!("Preempted by pod {} on node {node}", by.uid);
        let told = Told::new(victim, "Normal", "Preempted", "Preempting", note);
        self.event(Told { related: Some(by), ..told }).await;
    }

    /// Takes a claim's devices away, unless somebody has changed it since.
    async fn deallocate(&self, claim: &ResourceClaim) -> Result<(), kube::Error> {
        let metadata = &claim.metadata;
        let patch = json!({
            "metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version},
            "status": {"allocation": null, "devices": null, "reservedFor": null},
        });
        let claims =
            Objects::device_claims(&self.client.0, metadata.namespace.as_deref().unwrap_or("default"));
        match claims.merge_status(metadata.name.as_deref().unwrap_or_default(), patch).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn patch_status(&self, pod: &PodInfo, status: &Value) -> Result<(), kube::Error> {
        let patch = json!({"metadata": {"uid": *pod.uid}, "status": status});
        Objects::pods(&self.client.0, pod.namespace()).patch_status(pod.name(), patch).await
    }
}

/// What users are told of a pod.
struct Told<'a> {
    pod: &'a PodInfo,
    related: Option<&'a PodInfo>,
    kind: &'static str,
    reason: &'static str,
    action: &'static str,
    note: String,
}

impl<'a> Told<'a> {
    fn new(
        pod: &'a PodInfo,
        kind: &'static str,
        reason: &'static str,
        action: &'static str,
        note: String,
    ) -> Self {
        Self { pod, related: None, kind, reason, action, note: truncate(note) }
    }

    /// The object of this name that tells it.
    fn event(&self, name: &str, now: Timestamp, instance: &str) -> Value {
        json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": self.pod.namespace()},
            "action": self.action,
            "eventTime": MicroTime(now),
            "note": self.note,
            "reason": self.reason,
            "regarding": reference(self.pod),
            "related": self.related.map(reference),
            "reportingController": self.pod.scheduler_name(),
            "reportingInstance": instance,
            "type": self.kind,
        })
    }
}

/// Whether the same request may be accepted later. A conflict may be one about contents; when it is about the pod's
/// identity, the watch soon makes the duty moot.
fn may_succeed_later(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => {
            !(400..500).contains(&status.code) || matches!(status.code, 408 | 409 | 429)
        }
        _ => true,
    }
}

fn incoming(mut reports: mpsc::Receiver<Report>) -> impl futures::Stream<Item = Report> {
    stream::poll_fn(move |cx| reports.poll_recv(cx))
}

fn reference(pod: &PodInfo) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "name": pod.name(),
        "namespace": pod.namespace(),
        "resourceVersion": pod.version.as_deref(),
        "uid": *pod.uid,
    })
}

/// Cuts a note to the length that the API accepts.
fn truncate(mut note: String) -> String {
    const SUFFIX: &str = " ...";
    if note.len() > MAX_NOTE {
        let end =
            (0..=MAX_NOTE - SUFFIX.len()).rev().find(|end| note.is_char_boundary(*end)).unwrap_or_default();
        note.truncate(end);
        note.push_str(SUFFIX);
    }
    note
}
