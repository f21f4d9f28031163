//! Keys, transactions and watches.

use etcd_client::{
    Client, CompactionOptions, Compare, CompareOp, DeleteOptions, EventType, GetOptions, KvClientPrefix,
    PutOptions, SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse, WatchFilterType, WatchOptions,
    WatchResponse, WatchStream,
};

use super::{Server, found, refusal};

/// Puts a key; answers the revision.
async fn put(client: &mut Client, key: &str, value: &str) -> i64 {
    client.put(key, value, None).await.unwrap().header().unwrap().revision()
}

#[tokio::test]
async fn keys_are_put_read_and_deleted() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let first = put(&mut client, "k/a", "1").await;
    let again = client.put("k/a", "2", Some(PutOptions::new().with_prev_key())).await.unwrap();
    assert_eq!(again.header().unwrap().revision(), first + 1);
    assert_eq!(again.prev_key().unwrap().value(), b"1");
    for (key, value) in [("k/b", "9"), ("k/c", "5"), ("other", "x")] {
        put(&mut client, key, value).await;
    }
    let kv = &client.get("k/a", None).await.unwrap().take_kvs()[0];
    assert_eq!(
        (kv.value(), kv.version(), kv.create_revision(), kv.mod_revision()),
        (&b"2"[..], 2, first, first + 1)
    );
    let by_value = GetOptions::new().with_prefix().with_sort(SortTarget::Value, SortOrder::Descend);
    let from = GetOptions::new().with_from_key().with_limit(2);
    let counted = GetOptions::new().with_all_keys().with_count_only();
    let newer = GetOptions::new().with_prefix().with_min_mod_revision(first + 2).with_keys_only();
    for (key, options, wanted, count) in [
        ("k/", by_value, &["k/b=9", "k/c=5", "k/a=2"][..], 3),
        ("k/c", from, &["k/c=5", "other=x"], 2),
        ("k/a", GetOptions::new().with_range("k/c").with_serializable(), &["k/a=2", "k/b=9"], 2),
        ("k/a", GetOptions::new().with_revision(first), &["k/a=1"], 1),
        ("", counted, &[], 4),
        ("k/", newer, &["k/b=", "k/c="], 3),
    ] {
        let response = client.get(key, Some(options)).await.unwrap();
        assert_eq!(
            (&found(&response)[..], response.count()),
            (&wanted.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..], count),
            "{key}"
        );
    }
    let paged = client.get("", Some(GetOptions::new().with_all_keys().with_limit(1))).await.unwrap();
    assert!(paged.more());
    let mut prefixed = KvClientPrefix::new(client.kv_client(), "k/".into());
    assert_eq!(found(&prefixed.get("b", None).await.unwrap()), ["b=9"]);
    let deleted =
        client.delete("k/", Some(DeleteOptions::new().with_prefix().with_prev_key())).await.unwrap();
    assert_eq!(deleted.deleted(), 3);
    assert_eq!(deleted.prev_kvs().iter().map(|kv| kv.key()).collect::<Vec<_>>(), [b"k/a", b"k/b", b"k/c"]);
    assert_eq!(client.delete("k/a", None).await.unwrap().deleted(), 0);
    let keep_value = Some(PutOptions::new().with_ignore_value());
    assert_eq!(refusal(client.put("gone", "", keep_value).await), "etcdserver: key not found");
}

#[tokio::test]
async fn history_ends_where_it_was_compacted() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let first = put(&mut client, "a", "1").await;
    let second = put(&mut client, "a", "2").await;
    let at = |revision| Some(GetOptions::new().with_revision(revision));
    assert_eq!(found(&client.get("a", at(first)).await.unwrap()), ["a=1"]);
    client.compact(second, Some(CompactionOptions::new().with_physical())).await.unwrap();
    assert_eq!(
        refusal(client.get("a", at(first)).await),
        "etcdserver: mvcc: required revision has been compacted"
    );
    assert_eq!(
        refusal(client.get("a", at(second + 1)).await),
        "etcdserver: mvcc: required revision is a future revision"
    );
    assert_eq!(found(&client.get("a", at(second)).await.unwrap()), ["a=2"]);
    assert_eq!(
        refusal(client.compact(second, None).await),
        "etcdserver: mvcc: required revision has been compacted"
    );
}

#[tokio::test]
async fn transactions_do_one_list_or_the_other() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let revision = put(&mut client, "t", "1").await;
    let swap = || {
        let compares = [
            Compare::value("t", CompareOp::Equal, "1"),
            Compare::mod_revision("t", CompareOp::Less, revision + 1),
            Compare::create_revision("t", CompareOp::Equal, revision),
            Compare::version("t", CompareOp::NotEqual, 2),
            Compare::lease("t", CompareOp::Equal, 0),
        ];
        let inner = Txn::new()
            .when([Compare::version("none", CompareOp::Equal, 0)])
            .and_then([TxnOp::put("inner", "made", None)]);
        Txn::new()
            .when(compares)
            .and_then([TxnOp::put("t", "2", Some(PutOptions::new().with_prev_key())), TxnOp::txn(inner)])
            .or_else([TxnOp::get("t", None), TxnOp::delete("inner", None)])
    };
    let done = client.txn(swap()).await.unwrap();
    assert!(done.succeeded());
    let [TxnOpResponse::Put(put), TxnOpResponse::Txn(inner)] = &done.op_responses()[..] else {
        panic!("{done:?}")
    };
    assert_eq!(put.prev_key().unwrap().value(), b"1");
    assert!(inner.succeeded());
    let refused = client.txn(swap()).await.unwrap();
    assert!(!refused.succeeded());
    let [TxnOpResponse::Get(get), TxnOpResponse::Delete(delete)] = &refused.op_responses()[..] else {
        panic!("{refused:?}")
    };
    assert_eq!((found(get), delete.deleted()), (vec!["t=2".to_owned()], 1));
    let twice = Txn::new().and_then([TxnOp::put("t", "3", None), TxnOp::put("t", "4", None)]);
    assert_eq!(refusal(client.txn(twice).await), "etcdserver: duplicate key given in txn request");
}

async fn next(stream: &mut WatchStream) -> WatchResponse {
    stream.message().await.unwrap().expect("the watch goes on")
}

/// Kind, key and value of the events in a response.
fn told(response: &WatchResponse) -> Vec<String> {
    let event = |event: &etcd_client::Event| {
        let kv = event.kv().unwrap();
        let previous = event.prev_kv().map_or("", |kv| kv.value_str().unwrap());
        let (key, value) = (kv.key_str().unwrap(), kv.value_str().unwrap());
        match event.event_type() {
            EventType::Put => format!("put {key}={value} was {previous}"),
            EventType::Delete => format!("delete {key} was {previous}"),
        }
    };
    response.events().iter().map(event).collect()
}

/// Reads until so many events were told.
async fn read(stream: &mut WatchStream, events: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < events {
        all.extend(told(&next(stream).await));
    }
    all
}

#[tokio::test]
async fn a_watch_tells_what_was_and_what_comes() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let first = put(&mut client, "w/a", "1").await;
    put(&mut client, "w/a", "2").await;
    let options = WatchOptions::new().with_prefix().with_prev_key().with_start_revision(first);
    let mut stream = client.watch("w/", Some(options)).await.unwrap();
    assert!(next(&mut stream).await.created());
    assert_eq!(read(&mut stream, 2).await, ["put w/a=1 was ", "put w/a=2 was 1"]);
    put(&mut client, "elsewhere", "x").await;
    client.delete("w/a", None).await.unwrap();
    assert_eq!(read(&mut stream, 1).await, ["delete w/a was 2"]);
    // Another one on the same stream, of deletions only.
    let deletions = WatchOptions::new().with_watch_id(7).with_filters([WatchFilterType::NoPut]);
    stream.watch("v", Some(deletions)).await.unwrap();
    let created = next(&mut stream).await;
    assert_eq!((created.created(), created.watch_id()), (true, 7));
    let last = put(&mut client, "v", "1").await + 1;
    client.delete("v", None).await.unwrap();
    assert_eq!(read(&mut stream, 1).await, ["delete v was "]);
    stream.request_progress().await.unwrap();
    let progress = next(&mut stream).await;
    assert_eq!((progress.events().len(), progress.header().unwrap().revision()), (0, last));
    stream.cancel(7).await.unwrap();
    let ended = next(&mut stream).await;
    assert_eq!((ended.canceled(), ended.watch_id()), (true, 7));
    put(&mut client, "w/b", "3").await;
    assert_eq!(read(&mut stream, 1).await, ["put w/b=3 was "], "the other one goes on");
}

#[tokio::test]
async fn a_watch_of_what_was_compacted_says_where_history_begins() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let first = put(&mut client, "a", "1").await;
    let second = put(&mut client, "a", "2").await;
    client.compact(second, None).await.unwrap();
    let mut stream = client.watch("a", Some(WatchOptions::new().with_start_revision(first))).await.unwrap();
    loop {
        let response = next(&mut stream).await;
        if response.canceled() {
            assert_eq!(response.compact_revision(), second);
            break;
        }
    }
}
