//! Watches.

use std::sync::Arc;

use futures::StreamExt;

use super::next;
use crate::{
    DeleteRequest, Error, EventFilter, EventKind, KeyRange, PutRequest, Store, StoreExt, TxnRequest,
    WatchRequest,
};

pub(super) async fn reports_in_order(store: &impl Store) {
    store.put("/w/a", "0").await.unwrap();
    let mut watch = store.watch(WatchRequest::prefix("/w/").with_prev()).await.unwrap();
    assert_eq!(watch.revision(), store.revision().await.unwrap());
    let first = store.put("/w/a", "1").await.unwrap();
    store.put("/other", "x").await.unwrap();
    let third = store.delete("/w/a").await.unwrap().revision;
    let put = next(&mut watch).await;
    assert_eq!((put.revision, put.events.len()), (first, 1));
    assert_eq!(put.events[0].kind, EventKind::Put);
    assert_eq!((put.events[0].kv.value.as_ref(), put.events[0].kv.version), (&b"1"[..], 2));
    assert_eq!(put.events[0].prev.as_ref().unwrap().value, "0");
    let delete = next(&mut watch).await;
    assert_eq!((delete.revision, delete.events[0].kind), (third, EventKind::Delete));
    let kv = &delete.events[0].kv;
    assert_eq!((kv.key.as_ref(), kv.mod_revision, kv.version, kv.value.len()), (&b"/w/a"[..], third, 0, 0));
    assert_eq!(delete.events[0].prev.as_ref().unwrap().value, "1");
}

pub(super) async fn starts_where_told(store: &impl Store) {
    let first = store.put("a", "1").await.unwrap();
    store.put("a", "2").await.unwrap();
    let mut past = store.watch(WatchRequest::key("a").from_revision(first)).await.unwrap();
    let mut ahead = store.watch(WatchRequest::key("a").from_revision(first + 3)).await.unwrap();
    for revision in first..first + 2 {
        let response = next(&mut past).await;
        assert_eq!(response.revision, revision);
        assert_eq!(response.events[0].prev, None, "previous values come only when asked for");
    }
    store.put("a", "3").await.unwrap();
    store.put("a", "4").await.unwrap();
    assert_eq!(next(&mut past).await.revision, first + 2);
    assert_eq!(next(&mut ahead).await.revision, first + 3, "a watch from the future waits for it");
    store.compact(first + 2).await.unwrap();
    let gone = store.watch(WatchRequest::key("a").from_revision(first + 1)).await.unwrap_err();
    assert!(matches!(gone, Error::Compacted { compacted } if compacted == first + 2), "{gone}");
    let mut kept = store.watch(WatchRequest::key("a").from_revision(first + 2)).await.unwrap();
    assert_eq!(next(&mut kept).await.events[0].kv.value, "3");
}

pub(super) async fn one_revision_is_one_response(store: &impl Store) {
    let mut watch = store.watch(WatchRequest::prefix("/m/")).await.unwrap();
    let puts = (0..50).map(|n| PutRequest::new(format!("/m/{n:02}"), "x").into());
    let revision = store.txn(TxnRequest::of(puts)).await.unwrap().revision;
    let all = next(&mut watch).await;
    assert_eq!((all.revision, all.events.len()), (revision, 50));
    assert!(all.events.is_sorted_by_key(|event| event.kv.key.clone()), "in the order of the transaction");
    store.delete_with(DeleteRequest::prefix("/m/")).await.unwrap();
    let all = next(&mut watch).await;
    assert_eq!((all.revision, all.events.len()), (revision + 1, 50));
}

pub(super) async fn filters(store: &impl Store) {
    let only = |filter| WatchRequest { filter, ..WatchRequest::new(KeyRange::All) };
    let mut puts = store.watch(only(EventFilter::PutsOnly)).await.unwrap();
    let mut deletes = store.watch(only(EventFilter::DeletesOnly)).await.unwrap();
    store.put("a", "1").await.unwrap();
    store.delete("a").await.unwrap();
    let last = store.put("b", "1").await.unwrap();
    assert_eq!(next(&mut puts).await.revision, last - 2);
    assert_eq!(next(&mut puts).await.revision, last);
    assert_eq!(next(&mut deletes).await.revision, last - 1);
}

pub(super) async fn progress_follows_everything_before(store: &impl Store) {
    let mut watch = store.watch(WatchRequest::key("a")).await.unwrap();
    let put = store.put("a", "1").await.unwrap();
    let last = store.put("elsewhere", "1").await.unwrap();
    watch.progress().request();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|(revision, _)| *revision < last) {
        let response = watch.next().await.unwrap().unwrap();
        seen.push((response.revision, response.events.len()));
    }
    assert_eq!(seen.iter().find(|(_, events)| *events > 0), Some(&(put, 1)), "events come before the report");
    assert_eq!(seen.last(), Some(&(last, 0)));
}

pub(super) async fn loses_nothing_under_load(store: impl Store) {
    const WRITERS: usize = 6;
    const PUTS: usize = 40;
    let store = Arc::new(store);
    let start = store.revision().await.unwrap() + 1;
    let end = start + (WRITERS * PUTS) as i64;
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..PUTS {
                store.put(format!("/load/{}", (writer + n) % 5), n.to_string()).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    });
    let watchers = (0..WRITERS).map(|watcher| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..watcher * 7 {
                tokio::task::yield_now().await;
            }
            let request = WatchRequest::prefix("/load/").from_revision(start);
            let mut watch = store.watch(request).await.unwrap();
            for revision in start..end {
                let response = next(&mut watch).await;
                assert_eq!((response.revision, response.events.len()), (revision, 1));
            }
        })
    });
    for task in writers.chain(watchers).collect::<Vec<_>>() {
        task.await.unwrap();
    }
}
