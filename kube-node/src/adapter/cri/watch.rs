//! What happens in the runtime: its own events where it pushes them, and always the difference between listings, since pushed events can be lost.

use std::{collections::BTreeMap, time::Duration};

use cri_client::{Client, Error, Events, v1};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep, sleep_until};

use super::container;
use crate::seam::{ContainerId, ContainerState, RuntimeEvent, RuntimeEventKind, SandboxId};

/// Between listings without pushed events; also before the event stream is opened again.
const RELIST: Duration = Duration::from_secs(1);
/// Between listings while events are pushed.
const BACKSTOP: Duration = Duration::from_secs(10);

/// What there was at a moment, each with its pod's uid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) sandboxes: BTreeMap<String, (String, bool)>,
    pub(super) containers: BTreeMap<String, (String, ContainerState)>,
}

/// Publishes what happens, for ever.
pub(super) async fn watch(client: Client, events: broadcast::Sender<RuntimeEvent>, mut known: Listing) {
    let publish = |event| {
        // Nobody listening is fine.
        let _unheard = events.send(event);
    };
    let mut pushed = open(client.clone(), Duration::ZERO);
    let mut pause = RELIST;
    let mut next = Instant::now() + pause;
    loop {
        tokio::select! {
            item = pushed.next() => match item {
                Some(Ok(event)) => {
                    pause = BACKSTOP;
                    known.apply(&event).into_iter().for_each(publish);
                }
                Some(Err(Error::Unsupported { .. })) => pushed = stream::pending().boxed(),
                ended => {
                    tracing::debug!(?ended, "the runtime's events ended");
                    pushed = open(client.clone(), RELIST);
                    pause = RELIST;
                    next = Instant::now();
                }
            },
            () = sleep_until(next) => {
                match Listing::take(&client).await {
                    Ok(now) => {
                        known.changes(&now).into_iter().for_each(publish);
                        known = now;
                    }
                    Err(error) => tracing::debug!(%error, "the runtime can't be listed"),
                }
                next = Instant::now() + pause;
            }
        }
    }
}

/// The runtime's events. Opening is part of the stream, since servers may answer only with their first event, and listings must not wait for that.
fn open(client: Client, after: Duration) -> Events {
    let opening = async move {
        sleep(after).await;
        client.container_events().await
    };
    stream::once(opening).try_flatten().boxed()
}

impl Listing {
    /// Asks the runtime.
    pub(super) async fn take(client: &Client) -> cri_client::Result<Self> {
        let sandboxes = client.list_pod_sandbox(v1::ListPodSandboxRequest::default()).await?.items;
        let containers = client.list_containers(v1::ListContainersRequest::default()).await?.containers;
        Ok(Self::of(sandboxes, containers))
    }

    pub(super) fn of(sandboxes: Vec<v1::PodSandbox>, containers: Vec<v1::Container>) -> Self {
        let sandbox = |item: v1::PodSandbox| {
            let ready = item.state() == v1::PodSandboxState::SandboxReady;
            (item.id, (item.metadata.unwrap_or_default().uid, ready))
        };
        let sandboxes: BTreeMap<_, _> = sandboxes.into_iter().map(sandbox).collect();
        let container = |item: v1::Container| {
            let uid = sandboxes.get(&item.pod_sandbox_id).map(|(uid, _)| uid.clone()).unwrap_or_default();
            let state = container::state(item.state());
            (item.id, (uid, state))
        };
        let containers = containers.into_iter().map(container).collect();
        Self { sandboxes, containers }
    }

    /// What must have happened between this listing and `new`.
    pub(super) fn changes(&self, new: &Self) -> Vec<RuntimeEvent> {
        let sandbox = |id: &String, uid: &String| RuntimeEvent {
            pod_uid: uid.clone(),
            kind: RuntimeEventKind::SandboxChanged(SandboxId(id.clone())),
        };
        let changed = new.sandboxes.iter().filter(|(id, now)| self.sandboxes.get(*id) != Some(now));
        let gone = self.sandboxes.iter().filter(|(id, _)| !new.sandboxes.contains_key(*id));
        let mut events: Vec<_> = changed.chain(gone).map(|(id, (uid, _))| sandbox(id, uid)).collect();
        for (id, (uid, state)) in &new.containers {
            let before = self.containers.get(id).map(|(_, state)| *state);
            events.extend(steps(before, *state, id).map(|kind| RuntimeEvent { pod_uid: uid.clone(), kind }));
        }
        for (id, (uid, _)) in &self.containers {
            if !new.containers.contains_key(id) {
                let kind = RuntimeEventKind::ContainerRemoved(ContainerId(id.clone()));
                events.push(RuntimeEvent { pod_uid: uid.clone(), kind });
            }
        }
        events
    }

    /// Takes over a pushed event, so that the next listing does not report it again, and says what is new in it.
    pub(super) fn apply(&mut self, event: &v1::ContainerEventResponse) -> Vec<RuntimeEvent> {
        let id = event.container_id.clone();
        let sandbox = event.pod_sandbox_status.clone().unwrap_or_default();
        let ready = sandbox.state() == v1::PodSandboxState::SandboxReady;
        let deleted = event.container_event_type() == v1::ContainerEventType::ContainerDeletedEvent;
        let before = Self {
            sandboxes: self.sandboxes.remove_entry(&id).into_iter().collect(),
            containers: self.containers.remove_entry(&id).into_iter().collect(),
        };
        let known = before.sandboxes.values().map(|(uid, _)| uid);
        let known = known.chain(before.containers.values().map(|(uid, _)| uid)).next().cloned();
        let uid = sandbox.metadata.map(|metadata| metadata.uid).or(known).unwrap_or_default();
        let mut after = Self::default();
        match (id == sandbox.id || !before.sandboxes.is_empty(), deleted) {
            (_, true) => {}
            (true, false) => drop(after.sandboxes.insert(id, (uid, ready))),
            (false, false) => drop(after.containers.insert(id, (uid, pushed_state(event)))),
        }
        let events = before.changes(&after);
        self.sandboxes.append(&mut after.sandboxes);
        self.containers.append(&mut after.containers);
        events
    }
}

fn pushed_state(event: &v1::ContainerEventResponse) -> ContainerState {
    match event.container_event_type() {
        v1::ContainerEventType::ContainerCreatedEvent => ContainerState::Created,
        v1::ContainerEventType::ContainerStartedEvent => ContainerState::Running,
        _ => ContainerState::Exited,
    }
}

/// The steps of life that lead from one state to another.
fn steps(
    before: Option<ContainerState>,
    now: ContainerState,
    id: &str,
) -> impl Iterator<Item = RuntimeEventKind> {
    let id = || ContainerId(id.to_owned());
    let created = before.is_none().then(|| RuntimeEventKind::ContainerCreated(id()));
    let step = match now {
        _ if before == Some(now) => None,
        ContainerState::Created => None,
        ContainerState::Running => Some(RuntimeEventKind::ContainerStarted(id())),
        ContainerState::Exited | ContainerState::Unknown => Some(RuntimeEventKind::ContainerExited(id())),
    };
    created.into_iter().chain(step)
}
