//! Old revisions and compaction.

use crate::{DeleteRequest, Error, RangeRequest, Store, StoreExt, TxnRequest};

async fn value_at(store: &impl Store, key: &'static str, revision: i64) -> Result<Option<String>, Error> {
    let kv = store.range(RangeRequest::key(key).at_revision(revision)).await?.kvs.pop();
    Ok(kv.map(|kv| String::from_utf8_lossy(&kv.value).into_owned()))
}

pub(super) async fn old_revisions_stay_until_compacted(store: &impl Store) {
    let first = store.put("a", "1").await.unwrap();
    store.put("a", "2").await.unwrap();
    store.delete("a").await.unwrap();
    let last = store.put("a", "3").await.unwrap();
    for (revision, value) in
        [(first, Some("1")), (first + 1, Some("2")), (first + 2, None), (last, Some("3"))]
    {
        assert_eq!(value_at(store, "a", revision).await.unwrap().as_deref(), value, "at {revision}");
    }
    let error = value_at(store, "a", last + 1).await.unwrap_err();
    assert!(
        matches!(error, Error::FutureRevision { requested, current } if (requested, current) == (last + 1, last))
    );
    store.compact(first + 1).await.unwrap();
    for (revision, value) in [(first + 1, Some("2")), (first + 2, None), (last, Some("3"))] {
        assert_eq!(
            value_at(store, "a", revision).await.unwrap().as_deref(),
            value,
            "at {revision}, compacted"
        );
    }
    store.compact(last).await.unwrap();
    assert_eq!(value_at(store, "a", last).await.unwrap().as_deref(), Some("3"));
    assert_eq!(store.get("a").await.unwrap().unwrap().version, 1);
}

pub(super) async fn compaction_names_its_revision(store: &impl Store) {
    for n in 0..5 {
        store.put("a", n.to_string()).await.unwrap();
    }
    let last = store.revision().await.unwrap();
    let at = last - 2;
    store.compact(at).await.unwrap();
    let read = value_at(store, "a", at - 1).await.unwrap_err();
    assert!(matches!(read, Error::Compacted { compacted } if compacted == at), "{read}");
    let txn =
        TxnRequest::of([RangeRequest::key("a").at_revision(at - 1).into(), DeleteRequest::key("a").into()]);
    let in_txn = store.txn(txn).await.unwrap_err();
    assert!(matches!(in_txn, Error::Compacted { compacted } if compacted == at), "{in_txn}");
    let again = store.compact(at).await.unwrap_err();
    assert!(matches!(again, Error::Compacted { compacted } if compacted == at), "{again}");
    let ahead = store.compact(last + 1).await.unwrap_err();
    assert!(matches!(ahead, Error::FutureRevision { .. }), "{ahead}");
    let told = store.status().await.unwrap().compacted;
    assert!(told == at || told == 0, "the status says {told}");
}
