//! The least API server that a watch needs: it lists once and then sends what it is given.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

/// Objects at the start, and a way to send events later.
#[derive(Clone)]
pub(crate) struct Cluster {
    services: Arc<Kind>,
    slices: Arc<Kind>,
}

struct Kind {
    items: Vec<Value>,
    events: mpsc::UnboundedSender<Value>,
    queue: Mutex<mpsc::UnboundedReceiver<Value>>,
}

impl Kind {
    fn new(items: Vec<Value>) -> Arc<Self> {
        let (events, queue) = mpsc::unbounded_channel();
        Arc::new(Self { items, events, queue: Mutex::new(queue) })
    }
}

impl Cluster {
    pub(crate) fn new(services: Vec<Value>, slices: Vec<Value>) -> Self {
        Self { services: Kind::new(services), slices: Kind::new(slices) }
    }

    pub(crate) fn client(&self) -> kube::Client {
        let cluster = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let cluster = cluster.clone();
            async move { Ok::<_, Infallible>(cluster.answer(request.uri().to_string()).await) }
        });
        kube::Client::new(service, "default")
    }

    /// Sends a watch event: `ADDED`, `MODIFIED` or `DELETED`.
    pub(crate) fn send(&self, event: &str, object: Value) {
        let kind = if object["addressType"].is_string() { &self.slices } else { &self.services };
        kind.events.send(json!({"type": event, "object": object})).expect("the watch is there");
    }

    async fn answer(&self, uri: String) -> Response<Body> {
        let kind = if uri.contains("/services") { &self.services } else { &self.slices };
        if uri.contains("watch=true") {
            // One event per watch: the client comes back for the next.
            let event = kind.queue.lock().await.recv().await.unwrap_or_default();
            return Response::new(Body::from(format!("{event}\n").into_bytes()));
        }
        let list = json!({"metadata": {"resourceVersion": "1"}, "items": kind.items});
        Response::new(Body::from(list.to_string().into_bytes()))
    }
}

/// An object as the API server shows it.
pub(crate) fn shown(object: &impl serde::Serialize, version: u64) -> Value {
    let mut object = serde_json::to_value(object).expect("an object");
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    object
}
