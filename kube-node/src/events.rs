//! Events in the API, as `kubectl describe` shows them.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{Clock, pod::status::time};

/// How many events may wait to be written; more are dropped, as they are for people.
const BACKLOG: usize = 1024;
/// How many recent events are remembered to count repetitions.
const REMEMBERED: usize = 4096;
/// Who reports.
const COMPONENT: &str = "kubelet";

/// `Normal` or `Warning`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Level {
    Normal,
    Warning,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Happening {
    namespace: String,
    about: (String, String, String, String),
    level: Level,
    reason: &'static str,
    message: String,
}

/// Takes events without waiting.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    sender: mpsc::Sender<Happening>,
}

impl Recorder {
    /// A recorder and the task that writes what it takes.
    pub(crate) fn new(
        client: Client,
        clock: Clock,
        host: String,
        shutdown: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let writer = Writer { client, clock, host, known: HashMap::new(), count: 0 };
        (Self { sender }, writer.run(receiver, shutdown))
    }

    /// An event about a pod, or about one of its containers.
    pub(crate) fn pod(
        &self,
        pod: &Pod,
        container: Option<&str>,
        level: Level,
        reason: &'static str,
        message: String,
    ) {
        let field = container.map(|c| container_path(pod, c)).unwrap_or_default();
        let meta = &pod.metadata;
        let about = (
            "Pod".to_owned(),
            meta.name.clone().unwrap_or_default(),
            meta.uid.clone().unwrap_or_default(),
            field,
        );
        let namespace = meta.namespace.clone().unwrap_or_default();
        self.send(Happening { namespace, about, level, reason, message });
    }

    /// An event about the node. Its uid is its name, as upstream has it.
    pub(crate) fn node(&self, name: &str, level: Level, reason: &'static str, message: String) {
        let about = ("Node".to_owned(), name.to_owned(), name.to_owned(), String::new());
        self.send(Happening { namespace: "default".to_owned(), about, level, reason, message });
    }

    fn send(&self, happening: Happening) {
        if self.sender.try_send(happening).is_err() {
            tracing::debug!("an event was dropped: too many are waiting");
        }
    }
}

fn container_path(pod: &Pod, container: &str) -> String {
    let spec = pod.spec.clone().unwrap_or_default();
    let is_init = spec.init_containers.iter().flatten().any(|c| c.name == container);
    let is_ephemeral = spec.ephemeral_containers.iter().flatten().any(|c| c.name == container);
    match (is_init, is_ephemeral) {
        (true, _) => format!("spec.initContainers{{{container}}}"),
        (_, true) => format!("spec.ephemeralContainers{{{container}}}"),
        _ => format!("spec.containers{{{container}}}"),
    }
}

struct Writer {
    client: Client,
    clock: Clock,
    host: String,
    known: HashMap<Happening, (String, i32)>,
    count: u64,
}

impl Writer {
    async fn run(mut self, mut receiver: mpsc::Receiver<Happening>, shutdown: CancellationToken) {
        loop {
            let happening = tokio::select! {
                () = shutdown.cancelled() => return,
                happening = receiver.recv() => happening,
            };
            let Some(happening) = happening else { return };
            if let Err(error) = self.write(happening).await {
                tracing::debug!(%error, "an event was not written");
            }
        }
    }

    async fn write(&mut self, happening: Happening) -> Result<(), kube::Error> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &happening.namespace);
        if let Some((name, count)) = self.known.get_mut(&happening) {
            *count += 1;
            let patch = json!({"count": *count, "lastTimestamp": time(self.clock.now())});
            match api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => return other.map(|_| ()),
            }
        }
        let event = self.event(&happening);
        let name = event.metadata.name.clone().unwrap_or_default();
        api.create(&PostParams::default(), &event).await?;
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(happening, (name, 1));
        Ok(())
    }

    fn event(&mut self, happening: &Happening) -> Event {
        self.count += 1;
        let now = self.clock.now();
        let (kind, name, uid, field) = happening.about.clone();
        // Unique as long as no two events of one object fall into one nanosecond.
        let unique = u64::try_from(now.as_nanosecond()).unwrap_or_default().wrapping_add(self.count);
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{unique:016x}")),
                namespace: Some(happening.namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some(kind.clone()),
                name: Some(name),
                namespace: (kind == "Pod").then(|| happening.namespace.clone()),
                uid: Some(uid),
                field_path: Some(field).filter(|f| !f.is_empty()),
                resource_version: None,
            },
            reason: Some(happening.reason.to_owned()),
            message: Some(happening.message.clone()),
            type_: Some(format!("{:?}", happening.level)),
            count: Some(1),
            first_timestamp: Some(time(now)),
            last_timestamp: Some(time(now)),
            reporting_component: Some(COMPONENT.to_owned()),
            reporting_instance: Some(self.host.clone()),
            source: Some(EventSource {
                component: Some(COMPONENT.to_owned()),
                host: Some(self.host.clone()),
            }),
            ..Event::default()
        }
    }
}
