//! Streams of watches whose store does not answer.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use kube_store::{
    EtcdServer, LeaseRequest, LeaseResponse, Member, MemoryStore, RangeRequest, RangeResponse, Result,
    Revision, Store, StoreStatus, TxnRequest, TxnResponse, WatchRequest, WatchStream,
};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::wire::etcdserverpb as pb;
use pb::watch_request::RequestUnion;

/// A store that never begins a watch, as a member that finds no leader; it says when it was asked.
#[derive(Debug)]
struct Silent(MemoryStore, Arc<Semaphore>);

#[async_trait]
impl Store for Silent {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        self.0.range(request).await
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse> {
        self.0.txn(request).await
    }

    async fn watch(&self, _: WatchRequest) -> Result<WatchStream> {
        self.1.add_permits(1);
        std::future::pending().await
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.0.compact(revision).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<LeaseResponse> {
        self.0.lease(request).await
    }

    async fn status(&self) -> Result<StoreStatus> {
        self.0.status().await
    }
}

/// A server that is told to stop ends a stream as it should, though the store owes it an answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_though_the_store_is_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (asked, stop) = (Arc::new(Semaphore::new(0)), CancellationToken::new());
    let store = Arc::new(Silent(MemoryStore::new(), asked.clone()));
    let serving = tokio::spawn(EtcdServer::new(store, Member::default()).serve(listener, stop.clone()));
    let channel = Channel::from_shared(endpoint).unwrap().connect().await.unwrap();
    let create = pb::WatchCreateRequest { key: "a".into(), ..Default::default() };
    let request = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let requests = stream::iter([request]).chain(stream::pending());
    let mut client = pb::watch_client::WatchClient::new(channel);
    let mut responses = client.watch(requests).await.unwrap().into_inner();
    asked.acquire().await.unwrap().forget();
    stop.cancel();
    let last = responses.message().await;
    assert!(matches!(last, Ok(None)), "it ends well: {last:?}");
    drop((client, responses));
    serving.await.unwrap().unwrap();
}
