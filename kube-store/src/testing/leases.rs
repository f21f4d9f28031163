//! Leases.

use std::time::Duration;

use super::next;
use crate::{
    Error, EventKind, LeaseRequest, LeaseResponse, Precondition, PutRequest, Store, StoreExt, WatchRequest,
};

const LONG: Duration = Duration::from_secs(3600);

async fn grant(store: &impl Store, id: i64, ttl: Duration) -> i64 {
    match store.lease(LeaseRequest::Grant { id, ttl }).await.unwrap() {
        LeaseResponse::Granted { id, .. } => id,
        other => panic!("a grant answers {other:?}"),
    }
}

async fn bound(store: &impl Store, id: i64) -> Vec<bytes::Bytes> {
    match store.lease(LeaseRequest::TimeToLive { id }).await.unwrap() {
        LeaseResponse::TimeToLive { granted, remaining, mut keys, .. } => {
            assert!(remaining <= granted && granted == LONG);
            // etcd names them in any order.
            keys.sort();
            keys
        }
        other => panic!("time to live answers {other:?}"),
    }
}

pub(super) async fn keys_go_with_their_lease(store: &impl Store) {
    let id = grant(store, 0, LONG).await;
    assert!(id > 0);
    for key in ["a", "b"] {
        store.put_with(PutRequest::new(key, "1").with_lease(id)).await.unwrap();
    }
    assert_eq!(store.get("a").await.unwrap().unwrap().lease, id);
    assert_eq!(bound(store, id).await, ["a", "b"]);
    let mut watch = store.watch(WatchRequest::prefix("")).await.unwrap();
    let before = store.revision().await.unwrap();
    let revoked = store.lease(LeaseRequest::Revoke { id }).await.unwrap();
    assert_eq!(revoked, LeaseResponse::Revoked { revision: before + 1 });
    let response = next(&mut watch).await;
    assert_eq!((response.revision, response.events.len()), (before + 1, 2), "all keys go in one revision");
    assert_eq!(store.get("a").await.unwrap(), None);
    for request in
        [LeaseRequest::Revoke { id }, LeaseRequest::KeepAlive { id }, LeaseRequest::TimeToLive { id }]
    {
        let error = store.lease(request).await.unwrap_err();
        assert!(matches!(error, Error::Precondition(Precondition::LeaseNotFound(it)) if it == id), "{error}");
    }
}

pub(super) async fn rebinding_moves_a_key(store: &impl Store) {
    let (one, two) = (grant(store, 0, LONG).await, grant(store, 0, LONG).await);
    store.put_with(PutRequest::new("a", "1").with_lease(one)).await.unwrap();
    store.put_with(PutRequest { ignore_lease: true, ..PutRequest::new("a", "2") }).await.unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().lease, one);
    store.put_with(PutRequest::new("a", "3").with_lease(two)).await.unwrap();
    assert_eq!((bound(store, one).await.len(), bound(store, two).await.len()), (0, 1));
    store.put("a", "4").await.unwrap();
    assert!(bound(store, two).await.is_empty(), "a put without a lease unbinds");
    for id in [one, two] {
        store.lease(LeaseRequest::Revoke { id }).await.unwrap();
    }
    assert_eq!(store.get("a").await.unwrap().unwrap().value, "4");
}

pub(super) async fn are_kept_alive_and_listed(store: &impl Store) {
    assert_eq!(grant(store, 42, LONG).await, 42);
    let error = store.lease(LeaseRequest::Grant { id: 42, ttl: LONG }).await.unwrap_err();
    assert!(matches!(error, Error::Precondition(Precondition::LeaseExists(42))), "{error}");
    let kept = store.lease(LeaseRequest::KeepAlive { id: 42 }).await.unwrap();
    assert_eq!(kept, LeaseResponse::KeptAlive { id: 42, ttl: LONG });
    grant(store, 7, LONG).await;
    grant(store, 99, LONG / 2).await;
    let LeaseResponse::Leases(mut ids) = store.lease(LeaseRequest::List).await.unwrap() else {
        panic!("leases")
    };
    assert_eq!(ids.remove(0), 99, "what ends first is first");
    // These may end at the same moment.
    ids.sort_unstable();
    assert_eq!(ids, [7, 42]);
    let zero = store.lease(LeaseRequest::Grant { id: 0, ttl: Duration::ZERO }).await.unwrap_err();
    assert!(matches!(zero, Error::Invalid(_)), "{zero}");
}

pub(super) async fn expire(store: &impl Store) {
    let id = grant(store, 0, Duration::from_secs(2)).await;
    let mut watch = store.watch(WatchRequest::key("a")).await.unwrap();
    store.put_with(PutRequest::new("a", "1").with_lease(id)).await.unwrap();
    assert_eq!(next(&mut watch).await.events[0].kind, EventKind::Put);
    assert_eq!(next(&mut watch).await.events[0].kind, EventKind::Delete);
    assert_eq!(store.get("a").await.unwrap(), None);
}
