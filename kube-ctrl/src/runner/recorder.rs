//! Records events, counting repetitions instead of writing them again.

use super::Note;
use crate::Clock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Events waiting to be written; more are dropped, as events are advice and must never hold up work.
const WAITING: usize = 1000;
/// Events remembered to be counted up.
const REMEMBERED: usize = 4096;

/// The sending half: recording never blocks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    sender: mpsc::Sender<(&'static str, Note)>,
}

/// The writing half, to be run by somebody.
pub struct EventWriter {
    client: Client,
    clock: Clock,
    receiver: mpsc::Receiver<(&'static str, Note)>,
    known: HashMap<String, Seen>,
    order: VecDeque<String>,
    /// The time the last event was named after.
    last: i128,
}

impl fmt::Debug for EventWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWriter").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
struct Seen {
    name: String,
    count: i32,
}

impl Recorder {
    /// A recorder and the writer that must run for its events to be written.
    pub fn new(client: Client, clock: Clock) -> (Self, EventWriter) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let writer =
            EventWriter { client, clock, receiver, known: HashMap::new(), order: VecDeque::new(), last: 0 };
        (Self { sender }, writer)
    }

    /// Records an event of a component.
    pub fn record(&self, component: &'static str, note: Note) {
        if self.sender.try_send((component, note)).is_err() {
            tracing::debug!(component, "dropped an event");
        }
    }
}

impl EventWriter {
    /// Writes events until `shutdown`; those waiting then are still written.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let next = tokio::select! {
                biased;
                next = self.receiver.recv() => next,
                () = shutdown.cancelled() => return,
            };
            let Some((component, note)) = next else { return };
            if let Err(error) = self.write(component, &note).await {
                tracing::debug!(%error, reason = note.reason, "could not write an event");
            }
        }
    }

    async fn write(&mut self, component: &'static str, note: &Note) -> kube::Result<()> {
        let namespace =
            note.about.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let identity = identity(component, note);
        if let Some(seen) = self.known.get_mut(&identity) {
            let count = seen.count + 1;
            let body = serde_json::json!({"count": count, "lastTimestamp": Time(self.clock.now())});
            match api.patch(&seen.name, &PatchParams::default(), &Patch::Merge(body)).await {
                Ok(_) => {
                    seen.count = count;
                    return Ok(());
                }
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        // Two events of one nanosecond, as a coarse clock may give them, still need two names.
        self.last = self.clock.now().as_nanosecond().max(self.last + 1);
        let event = new_event(component, note, namespace, (self.clock.now(), self.last));
        let name = event.name_any();
        api.create(&PostParams::default(), &event).await?;
        self.remember(identity, Seen { name, count: 1 });
        Ok(())
    }

    fn remember(&mut self, identity: String, seen: Seen) {
        if self.known.insert(identity.clone(), seen).is_none() {
            self.order.push_back(identity);
        }
        if self.order.len() > REMEMBERED {
            self.order.pop_front().map(|oldest| self.known.remove(&oldest));
        }
    }
}

/// Events that agree in this are the same event again.
fn identity(component: &str, note: &Note) -> String {
    let about = &note.about;
    let fields = [&about.kind, &about.namespace, &about.name, &about.uid, &about.field_path];
    let mut identity = format!("{component}\0{}\0{}\0{}", note.severity.as_str(), note.reason, note.message);
    for field in fields {
        identity.push('\0');
        identity.push_str(field.as_deref().unwrap_or_default());
    }
    identity
}

fn new_event(
    component: &'static str,
    note: &Note,
    namespace: &str,
    (now, serial): (Timestamp, i128),
) -> Event {
    let name = format!("{}.{:x}", note.about.name.as_deref().unwrap_or_default(), serial);
    Event {
        metadata: ObjectMeta { name: Some(name), namespace: Some(namespace.into()), ..ObjectMeta::default() },
        involved_object: note.about.clone(),
        type_: Some(note.severity.as_str().into()),
        reason: Some(note.reason.into()),
        message: Some(note.message.clone()),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        source: Some(EventSource { component: Some(component.into()), host: None }),
        reporting_component: Some(component.into()),
        reporting_instance: Some(String::new()),
        ..Event::default()
    }
}
