//! Calls on one connection: how long they may take, and that they do not wait for each other.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use kube_store::StoreExt;
use prost::Message;
use tokio::net::TcpStream;
use tonic::codegen::http;

use crate::planted::{Planted, STUCK, connect, serve};
use crate::wire::etcdserverpb as pb;
use pb::kv_client::KvClient;

const DEADLINE_EXCEEDED: &str = "4";

/// Begins a call as a client does that says how long it waits; answers the code that it gets. The client itself waits for ever.
async fn call(client: &mut SendRequest<Bytes>, path: &str, message: &impl Message, timeout: &str) -> String {
    let request = http::Request::post(format!("http://etcd{path}"))
        .header("content-type", "application/grpc")
        .header("grpc-timeout", timeout)
        .body(())
        .unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut framed).unwrap();
    body.send_data(framed.freeze(), true).unwrap();
    let response = response.await.unwrap();
    if let Some(code) = response.headers().get("grpc-status") {
        return code.to_str().unwrap().to_owned();
    }
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        let length = data.unwrap().len();
        body.flow_control().release_capacity(length).unwrap();
    }
    let trailers = body.trailers().await.unwrap().unwrap();
    trailers.get("grpc-status").unwrap().to_str().unwrap().to_owned()
}

fn range(key: &str) -> pb::RangeRequest {
    pb::RangeRequest { key: key.as_bytes().to_vec().into(), ..Default::default() }
}

fn put(key: &str) -> pb::PutRequest {
    pb::PutRequest { key: key.as_bytes().to_vec().into(), ..Default::default() }
}

#[tokio::test]
async fn a_call_ends_when_its_client_stops_waiting() {
    let address = serve(Arc::new(Planted::default())).await;
    let stream = TcpStream::connect(&address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let txn = |key: &str| pb::TxnRequest {
        success: vec![pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put(key))) }],
        ..Default::default()
    };
    let delete = pb::DeleteRangeRequest { key: STUCK.into(), ..Default::default() };
    let create = pb::WatchCreateRequest { key: "a".into(), ..Default::default() };
    let watch =
        pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) };
    for (path, code) in [
        ("Range", call(&mut client, "/etcdserverpb.KV/Range", &range(STUCK), "20m").await),
        ("Put", call(&mut client, "/etcdserverpb.KV/Put", &put(STUCK), "20m").await),
        ("Txn", call(&mut client, "/etcdserverpb.KV/Txn", &txn(STUCK), "20000u").await),
        // One that is not served directly.
        ("DeleteRange", call(&mut client, "/etcdserverpb.KV/DeleteRange", &delete, "20m").await),
        ("Watch", call(&mut client, "/etcdserverpb.Watch/Watch", &watch, "20m").await),
    ] {
        assert_eq!(code, DEADLINE_EXCEEDED, "{path}");
    }
    for (path, code) in [
        ("Range", call(&mut client, "/etcdserverpb.KV/Range", &range("a"), "1H").await),
        ("Put", call(&mut client, "/etcdserverpb.KV/Put", &put("a"), "1H").await),
        ("Txn", call(&mut client, "/etcdserverpb.KV/Txn", &txn("a"), "nonsense").await),
    ] {
        assert_eq!(code, "0", "{path}");
    }
}

#[tokio::test]
async fn a_call_that_takes_long_holds_up_no_other_on_its_connection() {
    let store = Arc::new(Planted::default());
    let channel = connect(&serve(store.clone()).await).await;
    let stuck = || {
        let mut kv = KvClient::new(channel.clone());
        let (read, write) = (range(STUCK), put(STUCK));
        let mut other = kv.clone();
        [
            tokio::spawn(async move { kv.range(read).await.map(drop) }),
            tokio::spawn(async move { other.put(write).await.map(drop) }),
        ]
    };
    let waiting: Vec<_> = (0..100).flat_map(|_| stuck()).collect();
    let mut kv = KvClient::new(channel.clone());
    for n in 0..100 {
        kv.put(put(&format!("k{n}"))).await.unwrap();
        assert_eq!(kv.range(range(&format!("k{n}"))).await.unwrap().into_inner().kvs.len(), 1);
    }
    assert!(waiting.iter().all(|call| !call.is_finished()));
    waiting.iter().for_each(|call| call.abort());
}

/// One large answer that its client does not read, beside small ones that it does.
#[tokio::test]
async fn an_answer_that_is_not_read_holds_up_no_other() {
    let store = Arc::new(Planted::default());
    for n in 0..200 {
        store.inner.put(format!("large/{n}"), vec![0; 10_000]).await.unwrap();
    }
    let stream = TcpStream::connect(serve(store).await).await.unwrap();
    let handshake = h2::client::Builder::new().initial_connection_window_size(1 << 24).handshake(stream);
    let (mut client, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("http://etcd/etcdserverpb.KV/Range")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    let all = pb::RangeRequest { range_end: "large0".into(), ..range("large/") };
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(all.encoded_len()).unwrap());
    all.encode(&mut framed).unwrap();
    body.send_data(framed.freeze(), true).unwrap();
    let mut unread = response.await.unwrap().into_body();
    for _ in 0..50 {
        assert_eq!(call(&mut client, "/etcdserverpb.KV/Range", &range("large/1"), "1H").await, "0");
    }
    let mut length = 0;
    while let Some(data) = unread.data().await {
        let data = data.unwrap();
        length += data.len();
        unread.flow_control().release_capacity(data.len()).unwrap();
    }
    assert!(length > 200 * 10_000, "{length}");
}

/// As etcd: what is a little larger than a request is refused by the store, and what is much larger is not even read.
#[tokio::test]
async fn a_message_that_is_too_large_is_refused_before_it_is_read() {
    const LARGEST: usize = 2 << 20;
    let address = serve(Arc::new(Planted::default())).await;
    let mut kv = KvClient::new(connect(&address).await);
    let of = |bytes: usize| pb::PutRequest { value: vec![0; bytes].into(), ..put("a") };
    let refused = kv.put(of((3 << 19) + 1)).await.unwrap_err();
    assert_eq!(refused.message(), "etcdserver: request is too large");
    let message = of(3 << 20);
    let words = format!("grpc: received message larger than max ({} vs. {LARGEST})", message.encoded_len());
    let delete = pb::DeleteRangeRequest { key: vec![b'a'; 3 << 20].into(), ..Default::default() };
    for refused in [kv.put(message).await.unwrap_err(), kv.delete_range(delete).await.unwrap_err()] {
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        let (begin, _) = words.split_once('(').unwrap();
        assert!(refused.message().starts_with(begin), "{refused}");
        assert!(refused.message().ends_with(" vs. 2097152)"), "{refused}");
    }
    let refused = kv.put(of(3 << 20)).await.unwrap_err();
    assert_eq!(refused.message(), words);
    // Of any call, however its messages come.
    let stream = TcpStream::connect(&address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for path in
        ["KV/Txn", "KV/Range", "KV/Compact", "Watch/Watch", "Lease/LeaseKeepAlive", "Maintenance/Snapshot"]
    {
        let code = call(&mut client, &format!("/etcdserverpb.{path}"), &of(3 << 20), "1H").await;
        assert_eq!(code, "8", "{path}");
    }
    assert_eq!(call(&mut client, "/etcdserverpb.KV/Put", &put("a"), "1H").await, "0");
}
