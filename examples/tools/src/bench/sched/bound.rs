//! How many pods have a node, as the API server tells it.

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, WatchParams};
use kube::core::Request;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Failure;

/// Counts the pods that are bound from its beginning on.
#[derive(Debug)]
pub(super) struct Bound {
    count: watch::Receiver<usize>,
    _task: JoinSet<()>,
}

impl Bound {
    /// Begins with the pods that are bound next.
    pub(super) async fn after_now(client: &Client) -> Result<Self, Failure> {
        let pods = Api::<Pod>::all(client.clone()).list_metadata(&ListParams::default().limit(1)).await?;
        let version = pods.metadata.resource_version.unwrap_or_default();
        // A pod comes into such a watch when it gets its node. Nothing has to be read of it for that to be counted.
        let params = WatchParams::default().fields("spec.nodeName!=");
        let request = Request::new("/api/v1/pods").watch(&params, &version)?;
        let mut lines = client.request_stream(request).await?.lines();
        let (sender, count) = watch::channel(0);
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok(Some(line)) = lines.try_next().await {
                if line.starts_with(r#"{"type":"ADDED""#) {
                    sender.send_modify(|count| *count += 1);
                }
            }
        });
        Ok(Self { count, _task: task })
    }

    /// Waits until there are so many.
    pub(super) async fn reach(&mut self, number: usize) -> Result<(), Failure> {
        let reached = self.count.wait_for(|count| *count >= number).await;
        reached.map(drop).map_err(|_| "the watch for pods was cut".into())
    }

    pub(super) fn now(&self) -> usize {
        *self.count.borrow()
    }
}
