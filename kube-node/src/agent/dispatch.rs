//! Which pod goes to which worker.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use k8s_openapi::api::core::v1::Pod;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    PodTable,
    manifest::Statics,
    mirrors::{Mirrors, name_of},
};
use crate::{
    Result,
    pod::{
        mirror::{is_mirror, is_static, with_status_of, without_source},
        names,
    },
    seam::{ContainerFilter, RuntimeEvent, RuntimeEventKind, SandboxFilter},
    worker::{Admission, Context, Latest, Worker},
};

struct Handle {
    latest: watch::Sender<Latest>,
    poke: Arc<Notify>,
    /// Of a static pod, namespace and name.
    static_name: Option<(String, String)>,
}

/// Keeps one worker per pod.
pub(super) struct Dispatcher {
    context: Arc<Context>,
    table: PodTable,
    workers: HashMap<String, Handle>,
    tasks: JoinSet<String>,
    shutdown: CancellationToken,
    /// Pods of a listing that is not complete yet.
    listing: Option<BTreeSet<String>>,
    statics: Statics,
    mirrors: Mirrors,
}

fn uid_of(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}

impl Dispatcher {
    pub(super) fn new(
        context: Arc<Context>,
        table: PodTable,
        mirrors: Mirrors,
        shutdown: CancellationToken,
    ) -> Self {
        let (workers, tasks, statics) = (HashMap::new(), JoinSet::new(), Statics::new());
        Self { context, table, workers, tasks, shutdown, listing: None, statics, mirrors }
    }

    /// These are the static pods from now on.
    pub(super) fn statics(&mut self, pods: Statics) {
        self.mirrors.want(pods.clone());
        self.statics = pods;
        let wanted: BTreeSet<String> = self.statics.values().map(|pod| uid_of(pod)).collect();
        let gone = self.workers.iter().filter(|(uid, h)| h.static_name.is_some() && !wanted.contains(*uid));
        let gone: Vec<String> = gone.map(|(uid, _)| uid.clone()).collect();
        gone.iter().for_each(|uid| self.vanish(uid));
        self.start_statics();
    }

    /// Starts the static pods that do not run. One whose manifest has changed waits for its predecessor to end: the two may want the same port.
    fn start_statics(&mut self) {
        let busy: BTreeSet<_> = self.workers.values().filter_map(|h| h.static_name.clone()).collect();
        let waiting = self.statics.iter().filter(|(name, _)| !busy.contains(*name));
        for (name, pod) in waiting.map(|(n, p)| (n.clone(), Arc::clone(p))).collect::<Vec<_>>() {
            let uid = uid_of(&pod);
            let pod = Arc::new(with_status_of(&pod, self.mirrors.get(&name).as_deref()));
            self.table.insert(&uid, Arc::clone(&pod));
            self.spawn(&uid, &pod, Latest::Pod(Arc::clone(&pod)));
        }
    }

    /// The mirror of a static pod has changed, or has gone.
    fn mirrored(&self, mirror: &Pod) {
        let name = name_of(mirror);
        let Some(pod) = self.statics.get(&name) else { return };
        let pod = Arc::new(with_status_of(pod, self.mirrors.get(&name).as_deref()));
        if let Some(handle) = self.workers.get(&uid_of(&pod)) {
            // A worker that has ended does not listen.
            let _ = handle.latest.send(Latest::Pod(pod));
        }
    }

    /// A listing begins: pods that it does not name are gone.
    pub(super) fn begin_list(&mut self) {
        self.listing = Some(BTreeSet::new());
    }

    pub(super) fn end_list(&mut self) {
        let Some(listed) = self.listing.take() else { return };
        let gone = self.workers.iter().filter(|(uid, h)| h.static_name.is_none() && !listed.contains(*uid));
        let gone: Vec<String> = gone.map(|(uid, _)| uid.clone()).collect();
        gone.iter().for_each(|uid| self.vanish(uid));
        for mirror in self.mirrors.all().iter().filter(|pod| !listed.contains(&uid_of(pod))) {
            self.delete(mirror);
        }
    }

    /// A pod is there or has changed.
    pub(super) fn apply(&mut self, pod: Pod) {
        let uid = uid_of(&pod);
        if let Some(listing) = &mut self.listing {
            listing.insert(uid.clone());
        }
        if is_mirror(&pod) {
            self.mirrors.show(pod.clone());
            return self.mirrored(&pod);
        }
        let pod = Arc::new(without_source(pod));
        self.table.insert(&uid, Arc::clone(&pod));
        match self.workers.get(&uid) {
            // A worker that has ended does not listen; its pod is done with.
            Some(handle) => drop(handle.latest.send(Latest::Pod(pod))),
            None => self.spawn(&uid, &pod, Latest::Pod(Arc::clone(&pod))),
        }
    }

    pub(super) fn delete(&mut self, pod: &Pod) {
        if is_mirror(pod) {
            self.mirrors.hide(pod);
            return self.mirrored(pod);
        }
        self.vanish(&uid_of(pod));
    }

    fn vanish(&mut self, uid: &str) {
        self.table.remove(uid);
        if let Some(handle) = self.workers.get(uid) {
            let _ = handle.latest.send(Latest::Gone(self.context.clock.now()));
        }
    }

    fn spawn(&mut self, uid: &str, pod: &Arc<Pod>, first: Latest) {
        let others = self.table.all();
        let counted = others.into_iter().filter(|p| {
            let phase = p.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default();
            uid_of(p) != uid && !matches!(phase, "Succeeded" | "Failed")
        });
        let others: Vec<_> = counted.collect();
        // A pod that ran here before was admitted before.
        let is_new = !is_static(pod)
            && pod.status.as_ref().is_none_or(|s| s.start_time.is_none())
            && pod.metadata.deletion_timestamp.is_none();
        let admission = match is_new.then(|| self.context.refusal(pod, &others)) {
            None => Admission::Admitted,
            Some(None) => Admission::Fits,
            Some(Some((reason, message))) => Admission::Refused(reason, message),
        };
        let (latest, mut receiver) = watch::channel(first);
        if matches!(&*receiver.borrow(), Latest::Gone(_)) {
            receiver.mark_changed();
        }
        let poke = Arc::new(Notify::new());
        let worker = Worker::new(Arc::clone(&self.context), pod, admission);
        let (uid, ended) = (uid.to_owned(), uid.to_owned());
        let run = worker.run(receiver, Arc::clone(&poke), self.shutdown.clone());
        self.tasks.spawn(async move {
            run.await;
            ended
        });
        let static_name = is_static(pod).then(|| name_of(pod));
        self.workers.insert(uid, Handle { latest, poke, static_name });
    }

    /// Something happened in the runtime.
    pub(super) fn runtime_event(&self, event: &RuntimeEvent) {
        if event.kind == RuntimeEventKind::Lagged {
            self.workers.values().for_each(|h| h.poke.notify_one());
        } else if let Some(handle) = self.workers.get(&event.pod_uid) {
            handle.poke.notify_one();
        }
    }

    /// Resolves when a worker has ended; never when there is none.
    pub(super) async fn reap(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(uid)) => {
                self.workers.remove(&uid);
                self.start_statics();
            }
            Some(Err(error)) => tracing::error!(%error, "a pod worker failed"),
            None => std::future::pending().await,
        }
    }

    /// Waits until all workers have ended, after shutdown.
    pub(super) async fn finish(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    /// Gives everything of the runtime that no pod owns to workers that clean up.
    pub(super) async fn audit(&mut self) -> Result<()> {
        let runtime = Arc::clone(&self.context.runtime);
        let mut strays: HashMap<String, Pod> = HashMap::new();
        for sandbox in runtime.sandboxes(&SandboxFilter::default()).await? {
            strays.insert(
                sandbox.pod.uid.clone(),
                stray(&sandbox.pod.namespace, &sandbox.pod.name, &sandbox.pod.uid),
            );
        }
        for c in runtime.containers(&ContainerFilter::default()).await? {
            let word = |key| c.labels.get(key).cloned().unwrap_or_default();
            let uid = word(names::POD_UID);
            strays
                .entry(uid.clone())
                .or_insert_with(|| stray(&word(names::POD_NAMESPACE), &word(names::POD_NAME), &uid));
        }
        for uid in self.context.volumes.known_pods().await {
            strays.entry(uid.clone()).or_insert_with(|| stray("", "", &uid));
        }
        for (uid, pod) in strays {
            if !uid.is_empty() && !self.workers.contains_key(&uid) {
                tracing::info!(uid, "cleaning up after a pod that does not exist any more");
                let gone = Latest::Gone(self.context.clock.now());
                self.spawn(&uid, &Arc::new(pod), gone);
            }
        }
        Ok(())
    }
}

/// A pod of which only the name is known.
fn stray(namespace: &str, name: &str, uid: &str) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.namespace = Some(namespace.to_owned());
    pod.metadata.name = Some(name.to_owned());
    pod.metadata.uid = Some(uid.to_owned());
    // It is over: nothing of it may be refused or reported.
    pod.metadata.deletion_grace_period_seconds = Some(1);
    pod.status = Some(Default::default());
    pod
}
