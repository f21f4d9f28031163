//! The hash of all keys with their history is etcd's, whatever a compaction has left of it.

use std::sync::Arc;

use kube_store::{Config, EmbeddedStore, Error, EtcdServer, Member, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::side::Side;
use super::traffic::Call;
use crate::peer::{Etcd, scratch};
use crate::wire::etcdserverpb as pb;
use pb::request_op::Request;

fn put(key: &'static str) -> pb::PutRequest {
    pb::PutRequest { key: key.into(), value: "value".into(), ..Default::default() }
}

/// A transaction that puts these, in this order.
fn puts(keys: &[&'static str]) -> Call {
    let op = |key: &&'static str| pb::RequestOp { request: Some(Request::RequestPut(put(key))) };
    Call::Txn(pb::TxnRequest { success: keys.iter().map(op).collect(), ..Default::default() })
}

fn delete(key: &'static str, end: &'static [u8]) -> Call {
    Call::Delete(pb::DeleteRangeRequest { key: key.into(), range_end: end.into(), prev_kv: false })
}

fn compact(revision: i64) -> Call {
    // The physical one has removed everything when it answers.
    Call::Compact(pb::CompactionRequest { revision, physical: true })
}

/// Writes several keys in transactions whose order is not that of the keys, and lets a compaction leave only some of them.
fn calls() -> Vec<Call> {
    vec![
        puts(&["d", "c", "b", "a"]),
        Call::Grant(pb::LeaseGrantRequest { id: 7, ttl: 3600 }),
        Call::Put(pb::PutRequest { lease: 7, ..put("leased") }),
        Call::Put(put("c")),
        delete("d", b""),
        compact(4),
        compact(5),
        puts(&["z", "y"]),
        Call::Put(put("z")),
        compact(7),
        Call::Revoke(pb::LeaseRevokeRequest { id: 7 }),
        delete("\0", b"\0"),
        compact(8),
        compact(9),
        Call::Put(put("new")),
    ]
}

/// Serves `store`; answers a client and what ends it.
async fn serve(store: Arc<EmbeddedStore>) -> (Side, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let serving = EtcdServer::new(store, Member::default()).serve(listener, stop.clone());
    let task = tokio::spawn(async move { serving.await.unwrap() });
    (Side::ours(&endpoint).await, stop, task)
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_are_etcds() {
    let Some(etcd) = Etcd::start().await else { return };
    let keeps = !super::is_old();
    let mut theirs = Side::of_etcd(&etcd.endpoint).await;
    let dir = scratch();
    // A task of the server that has just ended may hold the store a moment longer.
    let open = async || loop {
        match EmbeddedStore::open(dir.path(), Config::default()).await {
            Ok(store) => break Arc::new(store),
            Err(Error::Unavailable { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    let mut differ = Vec::new();
    for (n, call) in calls().into_iter().enumerate() {
        // Opened anew each time, so what is hashed is what was on the disk.
        let store = open().await;
        let (mut ours, stop, serving) = serve(store.clone()).await;
        let wanted = theirs.call(call.clone()).await;
        assert_eq!(ours.call(call.clone()).await, wanted, "{call:?}");
        assert!(wanted.result.is_ok(), "{call:?}: {wanted:?}");
        for revision in 0..=store.status().await.unwrap().revision {
            let (found, wanted) = (ours.hash(revision).await, theirs.hash(revision).await);
            // Newer ones still know the hash that a revision had when it was compacted.
            let is_gone = keeps && found.result.as_ref().is_err_and(|error| error.contains("compacted"));
            if found != wanted && !is_gone {
                differ.push(format!("after call {n} at {revision}: {found:?} and not {wanted:?}"));
            }
        }
        drop(ours);
        stop.cancel();
        serving.await.unwrap();
        drop(store);
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
