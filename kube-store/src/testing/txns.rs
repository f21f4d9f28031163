//! Transactions.

use std::sync::Arc;

use crate::{
    Compare, CompareOp, CompareTarget, DeleteRequest, Error, InvalidRequest, KeyRange, Op, OpResult,
    Precondition, PutRequest, RangeRequest, Store, StoreExt, Swap, TxnRequest,
};

pub(super) async fn all_or_nothing_in_one_revision(store: &impl Store) {
    let before = store.put("old", "1").await.unwrap();
    let response = store
        .txn(TxnRequest::of([
            PutRequest::new("a", "1").into(),
            PutRequest::new("b", "2").into(),
            DeleteRequest::key("old").with_prev().into(),
            RangeRequest::default().into(),
        ]))
        .await
        .unwrap();
    assert!(response.succeeded);
    assert_eq!(response.revision, before + 1);
    let [OpResult::Put(_), OpResult::Put(_), OpResult::Delete(delete), OpResult::Range(range)] =
        &response.results[..]
    else {
        panic!("results follow the operations: {response:?}");
    };
    assert_eq!((delete.deleted, delete.prev.len()), (1, 1));
    assert_eq!(super::keys(&range.kvs), ["a", "b"], "a range sees what came before it");
    assert!(range.kvs.iter().all(|kv| kv.mod_revision == before + 1));
    let failing =
        TxnRequest::of([PutRequest::new("c", "1").into(), PutRequest::new("d", "1").with_lease(77).into()]);
    let error = store.txn(failing).await.unwrap_err();
    assert!(matches!(error, Error::Precondition(Precondition::LeaseNotFound(77))), "{error}");
    assert_eq!(store.get("c").await.unwrap(), None, "nothing of a failed transaction stays");
    assert_eq!(store.revision().await.unwrap(), before + 1);
}

pub(super) async fn conditions_choose_the_list(store: &impl Store) {
    store.put("a", "m").await.unwrap();
    let revision = store.put("a", "m").await.unwrap();
    let (create, version) = (revision - 1, 2);
    for (target, stored_is) in [
        (CompareTarget::Value("m".into()), CompareOp::Equal),
        (CompareTarget::Value("l".into()), CompareOp::Greater),
        (CompareTarget::Value("n".into()), CompareOp::Less),
        (CompareTarget::Version(version), CompareOp::Equal),
        (CompareTarget::Version(version + 1), CompareOp::Less),
        (CompareTarget::CreateRevision(create), CompareOp::Equal),
        (CompareTarget::CreateRevision(create - 1), CompareOp::Greater),
        (CompareTarget::ModRevision(revision), CompareOp::Equal),
        (CompareTarget::ModRevision(revision + 1), CompareOp::Less),
        (CompareTarget::Lease(0), CompareOp::Equal),
        (CompareTarget::Lease(1), CompareOp::Less),
    ] {
        for op in [CompareOp::Equal, CompareOp::NotEqual, CompareOp::Greater, CompareOp::Less] {
            let holds = op == stored_is || (op == CompareOp::NotEqual && stored_is != CompareOp::Equal);
            let txn = TxnRequest::default().when(Compare::key("a", target.clone(), op));
            assert_eq!(store.txn(txn).await.unwrap().succeeded, holds, "{target:?} {op:?}");
        }
    }
    for (compare, holds) in [
        (Compare::absent("none"), true),
        (Compare::absent("a"), false),
        (Compare::exists("a"), true),
        (Compare::exists("none"), false),
        (Compare::value_eq("none", ""), false),
        (Compare::mod_revision_eq("a", revision), true),
    ] {
        let txn = TxnRequest::default().when(compare.clone());
        assert_eq!(store.txn(txn).await.unwrap().succeeded, holds, "{compare:?}");
    }
    let conflict = store.put_if(PutRequest::new("a", "new"), revision - 1).await.unwrap();
    assert!(matches!(conflict, Swap::Conflict(Some(kv)) if kv.mod_revision == revision));
    assert_eq!(store.put_if(PutRequest::new("a", "new"), revision).await.unwrap(), Swap::Done(revision + 1));
    assert_eq!(store.create_if_absent("b", "1").await.unwrap(), Swap::Done(revision + 2));
    assert!(matches!(store.create_if_absent("b", "1").await.unwrap(), Swap::Conflict(Some(_))));
    assert_eq!(store.delete_if("gone", 5).await.unwrap(), Swap::Conflict(None));
    assert_eq!(store.delete_if("b", revision + 2).await.unwrap(), Swap::Done(revision + 3));
}

pub(super) async fn conditions_on_ranges(store: &impl Store) {
    let first = store.put("/r/1", "same").await.unwrap();
    store.put("/r/2", "same").await.unwrap();
    for (prefix, target, op, holds) in [
        ("/r/", CompareTarget::Value("same".into()), CompareOp::Equal, true),
        ("/r/", CompareTarget::ModRevision(first), CompareOp::Equal, false),
        ("/r/", CompareTarget::ModRevision(first - 1), CompareOp::Greater, true),
        ("/none/", CompareTarget::Version(0), CompareOp::Equal, true),
        ("/none/", CompareTarget::Value("".into()), CompareOp::Equal, false),
    ] {
        let compare = Compare { range: KeyRange::Prefix(prefix.into()), target, op };
        let txn = TxnRequest::default().when(compare.clone());
        assert_eq!(store.txn(txn).await.unwrap().succeeded, holds, "{compare:?}");
    }
}

pub(super) async fn a_key_is_changed_once(store: &impl Store) {
    let put = |key: &'static str| Op::from(PutRequest::new(key, "x"));
    let delete = |prefix: &'static str| Op::from(DeleteRequest::prefix(prefix));
    let inner = |ops: Vec<Op>| Op::from(TxnRequest::of(ops));
    for ops in [
        vec![put("a"), put("a")],
        vec![put("a"), delete("a")],
        vec![delete("a"), put("ab")],
        vec![put("a"), inner(vec![put("a")])],
        vec![inner(vec![put("a")]), delete("a")],
        vec![put("a"), inner(vec![delete("a")])],
        vec![inner(vec![put("a")]), inner(vec![put("a")])],
    ] {
        let error = store.txn(TxnRequest::of(ops.clone())).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(InvalidRequest::DuplicateKey(_))), "{ops:?}: {error}");
        let error =
            store.txn(TxnRequest { failure: ops.clone(), ..TxnRequest::default() }).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(InvalidRequest::DuplicateKey(_))), "{ops:?}: {error}");
    }
    let either = TxnRequest::default().and_then(PutRequest::new("a", "1")).or_else(PutRequest::new("a", "2"));
    let fine =
        vec![inner(vec![]), either.into(), put("b"), delete("c"), delete("c"), inner(vec![delete("c")])];
    assert!(store.txn(TxnRequest::of(fine)).await.unwrap().succeeded);
    assert_eq!(store.get("a").await.unwrap().unwrap().value, "1");
}

pub(super) async fn keeps_value_or_lease(store: &impl Store) {
    let keep = |key: &'static str| PutRequest { ignore_value: true, ..PutRequest::new(key, "") };
    let error = store.put_with(keep("k")).await.unwrap_err();
    assert!(matches!(error, Error::Precondition(Precondition::KeyNotFound)), "{error}");
    store.put("k", "v").await.unwrap();
    store.put_with(keep("k")).await.unwrap();
    let kv = store.get("k").await.unwrap().unwrap();
    assert_eq!((kv.value.as_ref(), kv.version), (&b"v"[..], 2));
    let error = store.put_with(PutRequest { value: "x".into(), ..keep("k") }).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(InvalidRequest::ValueProvided)), "{error}");
    let lease = PutRequest { ignore_lease: true, ..PutRequest::new("k", "").with_lease(1) };
    let error = store.put_with(lease).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(InvalidRequest::LeaseProvided)), "{error}");
}

pub(super) async fn compare_and_swap_loses_no_update(store: impl Store) {
    const TASKS: usize = 8;
    const ROUNDS: usize = 20;
    let store = Arc::new(store);
    let tasks = (0..TASKS).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                loop {
                    let kv = store.get("n").await.unwrap();
                    let (n, at) = kv.map_or((0, 0), |kv| {
                        (std::str::from_utf8(&kv.value).unwrap().parse::<usize>().unwrap(), kv.mod_revision)
                    });
                    let put = PutRequest::new("n", (n + 1).to_string());
                    if matches!(store.put_if(put, at).await.unwrap(), Swap::Done(_)) {
                        break;
                    }
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let kv = store.get("n").await.unwrap().unwrap();
    assert_eq!(kv.value, (TASKS * ROUNDS).to_string());
    assert_eq!(kv.version, (TASKS * ROUNDS) as i64);
}
