//! How the server is, members, alarms and snapshots, in and out.

use kube_store::{Config, EmbeddedStore, RangeRequest, SnapshotCheck, Store, StoreExt};
use tokio::process::Command;

use super::Served;
use crate::peer::{Etcd, free_urls, scratch};

#[tokio::test(flavor = "multi_thread")]
async fn tells_about_itself() {
    let Some(served) = Served::start().await else { return };
    assert!(served.ok(&["endpoint", "health"]).await.contains("is healthy"));
    let status = served.ok(&["endpoint", "status", "-w", "json"]).await;
    assert!(status.contains("\"version\":\"3.5."), "{status}");
    for format in ["simple", "table", "fields", "json"] {
        for what in ["health", "status", "hashkv"] {
            // They are asked for by way of the members' list too.
            let told = served.ok(&["endpoint", what, "--cluster", "-w", format]).await;
            assert!(told.contains(&served.endpoint), "{what}, {format}: {told}");
        }
        assert!(served.ok(&["member", "list", "-w", format]).await.contains(&served.endpoint), "{format}");
    }
    assert!(served.ok(&["defrag"]).await.contains("Finished defragmenting"));
    assert!(served.ok(&["move-leader", "1"]).await.contains("Leadership transferred"));
    served.fails(&["move-leader", "2"], "bad leader transferee").await;
    served.stop().await;
}

/// The pace that etcdctl wants depends on the machine; on a slow one it is missed, but nothing fails.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "etcdctl writes for a minute"]
async fn the_checks_of_performance_and_scale_pass() {
    let Some(served) = Served::start().await else { return };
    let (_, text) = served.run(&["check", "perf", "--load", "s"], "").await;
    assert!(text.contains("PASS: Throughput"), "{text}");
    // It asks for the memory of the process before and after.
    let scale = served.ok(&["check", "datascale", "--load", "s"]).await;
    assert!(scale.contains("PASS: Approximate system memory used"), "{scale}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_member() {
    let Some(served) = Served::start().await else { return };
    let members = served.ok(&["member", "list"]).await;
    assert!(members.contains(&served.endpoint) && members.contains("one"), "{members}");
    served.ok(&["member", "update", "1", "--peer-urls=http://127.0.0.1:2380"]).await;
    served.fails(&["member", "update", "2", "--peer-urls=http://127.0.0.1:2380"], "member not found").await;
    served.fails(&["member", "remove", "2"], "member not found").await;
    served.fails(&["member", "remove", "1"], "not enough started members").await;
    served.fails(&["member", "promote", "1"], "can only promote a learner member").await;
    served
        .fails(&["member", "add", "two", "--peer-urls=http://127.0.0.1:2380"], "Peer URLs already exists")
        .await;
    served.fails(&["member", "add", "two", "--peer-urls=http://127.0.0.1:2"], "only member").await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_raises_an_alarm() {
    let Some(served) = Served::with_quota(20_000).await else { return };
    let value = "x".repeat(1000);
    let mut puts = 0;
    while served.run(&["put", &format!("k{puts}"), &value], "").await.0 {
        puts += 1;
    }
    assert!(puts > 10, "{puts}");
    assert_eq!(served.ok(&["alarm", "list"]).await, "memberID:1 alarm:NOSPACE \n");
    served.ok(&["del", "", "--prefix"]).await;
    let revision = served.store.revision().await.unwrap().to_string();
    served.ok(&["compaction", "--physical", &revision]).await;
    served.fails(&["put", "k", "1"], "database space exceeded").await;
    served.fails(&["lease", "grant", "10"], "database space exceeded").await;
    assert_eq!(served.ok(&["alarm", "disarm"]).await, "memberID:1 alarm:NOSPACE \n");
    served.ok(&["put", "k", "1"]).await;
    assert_eq!(served.ok(&["alarm", "list"]).await, "");
    served.stop().await;
}

/// Writes a history with all that a snapshot has to keep.
async fn fill(store: &dyn Store) {
    for n in 0..500 {
        store.put(format!("/many/{n:04}"), vec![b'x'; n]).await.unwrap();
    }
    store.delete("/many/0007").await.unwrap();
    let grant = kube_store::LeaseRequest::Grant { id: 77, ttl: std::time::Duration::from_secs(3600) };
    store.lease(grant).await.unwrap();
    store.put_with(kube_store::PutRequest::new("/leased", "1").with_lease(77)).await.unwrap();
    store.compact(100).await.unwrap();
    store.put("/many/0001", "newer").await.unwrap();
    store.delete("/many/0002").await.unwrap();
}

/// Whether two stores hold the same, now and at an earlier revision.
async fn assert_same(ours: &dyn Store, theirs: &dyn Store) {
    for revision in [0, 200] {
        let request = RangeRequest::default().at_revision(revision);
        let (a, b) = (ours.range(request.clone()).await.unwrap(), theirs.range(request).await.unwrap());
        assert_eq!((a.revision, a.kvs), (b.revision, b.kvs));
    }
    let gone = theirs.range(RangeRequest::default().at_revision(99)).await.unwrap_err();
    assert!(matches!(gone, kube_store::Error::Compacted { .. }), "{gone}");
    let lease = kube_store::LeaseRequest::TimeToLive { id: 77 };
    let lease = theirs.lease(lease).await.unwrap();
    assert!(
        matches!(&lease, kube_store::LeaseResponse::TimeToLive { keys, .. } if keys == &["/leased"]),
        "{lease:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_etcd_starts_from_a_snapshot() {
    let Some(served) = Served::start().await else { return };
    fill(&*served.store).await;
    let dir = scratch();
    let file = dir.path().join("snapshot.db");
    let file = file.to_str().unwrap();
    served.ok(&["snapshot", "save", file]).await;
    let status = served.ok(&["snapshot", "status", file, "-w", "json"]).await;
    let revision = served.store.revision().await.unwrap();
    assert!(status.contains(&format!("\"revision\":{revision},")), "{status}");
    let (urls, data) = (free_urls(), dir.path().join("data"));
    let restored = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["snapshot", "restore", file, "--data-dir", data.to_str().unwrap()])
        .args(["--initial-cluster", &format!("default={}", urls[1])])
        .args(["--initial-advertise-peer-urls", &urls[1]])
        .output()
        .await
        .unwrap();
    assert!(restored.status.success(), "{restored:?}");
    let Some(etcd) = Etcd::start_in(&data, &urls).await else { return };
    assert_same(&*served.store, &etcd.store).await;
    let next = etcd.store.put("/after", "1").await.unwrap();
    assert_eq!(next, revision + 1);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_store_starts_from_a_snapshot_of_stock_etcd() {
    let Some(etcd) = Etcd::start().await else { return };
    fill(&etcd.store).await;
    let dir = scratch();
    let file = dir.path().join("snapshot.db");
    let saved = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", &etcd.endpoint, "snapshot", "save", file.to_str().unwrap()])
        .output()
        .await
        .unwrap();
    assert!(saved.status.success(), "{saved:?}");
    let data = dir.path().join("data");
    let revision = EmbeddedStore::restore(&data, &file, SnapshotCheck::Required).await.unwrap();
    assert_eq!(revision, etcd.store.revision().await.unwrap());
    let store = EmbeddedStore::open(&data, Config::default()).await.unwrap();
    assert_same(&etcd.store, &store).await;
    assert_eq!(store.put("/after", "1").await.unwrap(), revision + 1);
    let again = EmbeddedStore::restore(&data, &file, SnapshotCheck::Required).await;
    assert!(again.is_err(), "the folder is in use");

    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let error = EmbeddedStore::restore(dir.path().join("new"), &file, SnapshotCheck::Required).await;
    assert!(matches!(error, Err(kube_store::Error::Corrupt { .. })), "{error:?}");
}
