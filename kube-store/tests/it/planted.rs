//! A store with a planted fault, and what it serves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use kube_store::{
    AutoCompaction, Config, EtcdServer, LeaseRequest, LeaseResponse, Member, MemoryStore, RangeRequest,
    RangeResponse, Result, Revision, Store, StoreStatus, TxnRequest, TxnResponse, WatchRequest, WatchStream,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// The key whose reads and writes never end.
pub(crate) const STUCK: &str = "stuck";

/// A store in memory that never answers who asks for [`STUCK`], and counts what each of its watches was asked for.
#[derive(Debug)]
pub(crate) struct Planted {
    pub(crate) inner: MemoryStore,
    /// Responses taken out of each watch that was started in the past.
    pub(crate) taken: Arc<AtomicU64>,
}

impl Default for Planted {
    /// However slow the machine is, history is kept.
    fn default() -> Self {
        let config = Config { auto_compaction: AutoCompaction::Off, ..Config::default() };
        Self { inner: MemoryStore::with_config(config).unwrap(), taken: Arc::default() }
    }
}

#[async_trait]
impl Store for Planted {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        if format!("{request:?}").contains(STUCK) {
            std::future::pending::<()>().await;
        }
        self.inner.range(request).await
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse> {
        if format!("{request:?}").contains(STUCK) {
            std::future::pending::<()>().await;
        }
        self.inner.txn(request).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        let is_late = request.start_revision.is_some();
        let stream = self.inner.watch(request).await?;
        let (revision, progress, taken) = (stream.revision(), stream.progress(), self.taken.clone());
        let counted = stream.inspect(move |_| {
            if is_late {
                taken.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(WatchStream::new(revision, progress, counted))
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.inner.compact(revision).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<LeaseResponse> {
        self.inner.lease(request).await
    }

    async fn records(&self, changes: Vec<(Bytes, Option<Bytes>)>) -> Result<BTreeMap<Bytes, Bytes>> {
        self.inner.records(changes).await
    }

    async fn status(&self) -> Result<StoreStatus> {
        self.inner.status().await
    }
}

/// Serves a store; answers the address.
pub(crate) async fn serve(store: Arc<dyn Store>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(EtcdServer::new(store, Member::default()).serve(listener, CancellationToken::new()));
    address
}

/// A connection on which one stream that is not read leaves room for others.
pub(crate) async fn connect(address: &str) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    endpoint
        .initial_stream_window_size(1 << 16)
        .initial_connection_window_size(1 << 24)
        .connect()
        .await
        .unwrap()
}
