use futures::future::BoxFuture;
use std::{path::Path, sync::Arc};

use cri_client::Client;
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use super::error::call;
use super::watch::{self, Listing};
use crate::Result;
use crate::seam::RuntimeEvent;

/// Events a slow subscriber may be behind before it is told that it lost some.
const EVENTS: usize = 1024;

/// A container runtime behind a CRI v1 socket. Clones share the connection, which is opened again by itself when it was lost.
///
/// Made by [`CriRuntime::connect`], inside a tokio runtime; its watching ends with the last clone.
#[derive(Clone, Debug)]
pub struct CriRuntime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    events: broadcast::Sender<RuntimeEvent>,
    _watching: AbortOnDropHandle<()>,
}

impl CriRuntime {
    /// Connects to the runtime that listens on the unix socket `socket`, e.g. `/run/containerd/containerd.sock`, with the deadlines the kubelet gives.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::Error::Unavailable) when nobody answers there; what listing sandboxes and containers gives otherwise.
    pub async fn connect(socket: impl AsRef<Path>) -> Result<Self> {
        let client = Client::connect(socket, cri_client::Config::default()).await.map_err(call)?;
        Self::over(client).await
    }

    /// Works over a connection that the caller made, for deadlines of its own.
    ///
    /// # Errors
    /// As [`CriRuntime::connect`].
    pub fn over(client: Client) -> BoxFuture<'static, Result<Self>> {
        // An async function's code belongs to whoever polls it: boxed here, it is compiled in this crate, once.
        Box::pin(Self::listed(client))
    }

    async fn listed(client: Client) -> Result<Self> {
        // The first listing is taken before anybody can subscribe, so that everything after it is news.
        let known = Listing::take(&client).await.map_err(call)?;
        let (events, _) = broadcast::channel(EVENTS);
        let watching = tokio::spawn(watch::watch(client.clone(), events.clone(), known));
        let inner = Inner { client, events, _watching: AbortOnDropHandle::new(watching) };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(super) fn client(&self) -> &Client {
        &self.inner.client
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<RuntimeEvent> {
        self.inner.events.subscribe()
    }
}
