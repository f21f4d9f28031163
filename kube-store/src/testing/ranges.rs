//! Reading.

use super::keys;
use crate::{
    Error, InvalidRequest, KeyRange, PutRequest, RangeRequest, SortOrder, SortTarget, Store, StoreExt,
};

pub(super) async fn counters_follow_a_key(store: &impl Store) {
    let empty = store.revision().await.unwrap();
    assert_eq!(store.get("a").await.unwrap(), None);
    let created = store.put("a", "1").await.unwrap();
    assert_eq!(created, empty + 1);
    store.put("other", "x").await.unwrap();
    let changed = store.put("a", "2").await.unwrap();
    let kv = store.get("a").await.unwrap().unwrap();
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version, kv.lease), (created, changed, 2, 0));
    assert_eq!((kv.key.as_ref(), kv.value.as_ref()), (&b"a"[..], &b"2"[..]));
    let put = store.put_with(PutRequest::new("a", "3").with_prev()).await.unwrap();
    assert_eq!(put.prev, Some(kv));
    let deleted = store.delete("a").await.unwrap();
    assert_eq!((deleted.deleted, deleted.revision), (1, changed + 2));
    let nothing = store.delete("a").await.unwrap();
    assert_eq!((nothing.deleted, nothing.revision), (0, changed + 2), "deleting nothing makes no revision");
    let again = store.put("a", "4").await.unwrap();
    let kv = store.get("a").await.unwrap().unwrap();
    assert_eq!((kv.create_revision, kv.version), (again, 1), "a key that comes back starts again");
    let empty_key = store.get("").await.unwrap_err();
    assert!(matches!(empty_key, Error::Invalid(InvalidRequest::EmptyKey)), "{empty_key}");
}

pub(super) async fn selects_what_is_asked(store: &impl Store) {
    for (key, value) in [("a", "3"), ("ab", "1"), ("b", "2"), ("ab", "4"), ("c", "0")] {
        store.put(key, value).await.unwrap();
    }
    let first = store.get("a").await.unwrap().unwrap().mod_revision;
    let all = RangeRequest::default();
    for (request, wanted) in [
        (RangeRequest::key("a"), vec!["a"]),
        (RangeRequest::prefix("a"), vec!["a", "ab"]),
        (RangeRequest::new(KeyRange::Range("ab".into(), "c".into())), vec!["ab", "b"]),
        (RangeRequest::new(KeyRange::Range("c".into(), "a".into())), vec![]),
        (RangeRequest::new(KeyRange::From("b".into())), vec!["b", "c"]),
        (all.clone(), vec!["a", "ab", "b", "c"]),
        (all.clone().sorted(SortTarget::Key, SortOrder::Descending), vec!["c", "b", "ab", "a"]),
        (all.clone().sorted(SortTarget::Value, SortOrder::Ascending), vec!["c", "b", "a", "ab"]),
        (all.clone().sorted(SortTarget::Value, SortOrder::Ascending).keys_only(), vec!["c", "b", "a", "ab"]),
        (all.clone().sorted(SortTarget::ModRevision, SortOrder::Descending).with_limit(2), vec!["c", "ab"]),
        (all.clone().sorted(SortTarget::CreateRevision, SortOrder::Descending).with_limit(2), vec!["c", "b"]),
        (all.clone().sorted(SortTarget::Version, SortOrder::Descending).with_limit(1), vec!["ab"]),
        (RangeRequest { min_mod_revision: first + 3, ..all.clone() }, vec!["ab", "c"]),
        (RangeRequest { max_mod_revision: first, ..all.clone() }, vec!["a"]),
        (RangeRequest { min_create_revision: first + 4, ..all.clone() }, vec!["c"]),
        (RangeRequest { max_create_revision: first + 1, ..all.clone() }, vec!["a", "ab"]),
    ] {
        let response = store.range(request.clone()).await.unwrap();
        assert_eq!(keys(&response.kvs), wanted, "{request:?}");
    }
    let keys_only = store.range(all.clone().keys_only()).await.unwrap();
    assert!(keys_only.kvs.iter().all(|kv| kv.value.is_empty() && kv.mod_revision > 0));
    let count = store.range(all.count_only()).await.unwrap();
    assert_eq!((count.kvs.len(), count.count, count.more), (0, 4, false));
}

pub(super) async fn pages_are_one_snapshot(store: &impl Store) {
    for n in 0..10 {
        store.put(format!("/p/{n}"), "x").await.unwrap();
    }
    let first = store.list_page("/p/", None, 4, None).await.unwrap();
    assert_eq!((first.kvs.len(), first.more, first.count), (4, true, 10));
    store.delete("/p/5").await.unwrap();
    store.put("/p/55", "new").await.unwrap();
    let mut seen = keys(&first.kvs);
    let mut page = first.clone();
    while page.more {
        let after = page.kvs.last().unwrap().key.clone();
        page = store.list_page("/p/", Some(after), 4, Some(first.revision)).await.unwrap();
        seen.extend(keys(&page.kvs));
    }
    assert_eq!(seen, (0..10).map(|n| format!("/p/{n}")).collect::<Vec<_>>());
    let exact = store.list_page("/p/", None, 10, None).await.unwrap();
    assert!(!exact.more, "a limit that just suffices leaves nothing");
}
