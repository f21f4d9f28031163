//! `/metrics`, beside those of a stock etcd and beside what clients do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube_store::engine::{LogEngine, Measured};
use kube_store::{
    Config, EmbeddedStore, EtcdServer, EtcdStore, Member, ServerConfig, Store, StoreExt, WatchRequest,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::front::get;
use crate::peer::{Etcd, scratch};

/// Families of etcd 3.4 and 3.5 that are not told, with the reason; see the documentation of `EtcdServer`.
const NOT_TOLD: &[(&str, &str)] = &[
    ("etcd_debugging_disk_backend_", "bbolt's parts of a commit"),
    ("etcd_debugging_mvcc_db_compaction_keys_total", "the store does not tell"),
    ("etcd_debugging_mvcc_db_compaction_pause_", "compaction is spread over other work"),
    ("etcd_debugging_mvcc_index_compaction_", "compaction is spread over other work"),
    ("etcd_debugging_mvcc_pending_events_total", "events wait in one ring for all watchers"),
    (
        "etcd_debugging_mvcc_total_put_size_in_bytes",
        "etcd_mvcc_db_total_size_in_use_in_bytes tells what is left of it",
    ),
    ("etcd_debugging_mvcc_db_total_size_in_bytes", "etcd 3.4's name of another"),
    ("etcd_debugging_mvcc_delete_total", "etcd 3.4's name of another"),
    ("etcd_debugging_mvcc_put_total", "etcd 3.4's name of another"),
    ("etcd_debugging_mvcc_range_total", "etcd 3.4's name of another"),
    ("etcd_debugging_mvcc_txn_total", "etcd 3.4's name of another"),
    ("etcd_debugging_server_lease_expired_total", "leases are ended by the store, unasked"),
    ("etcd_debugging_snap_save_", "the store of the API v2"),
    ("etcd_debugging_store_", "the store of the API v2"),
    ("etcd_disk_wal_write_duration_seconds", "etcd_disk_wal_fsync_duration_seconds has it"),
    ("etcd_grpc_proxy_", "it is no proxy"),
    ("etcd_mvcc_db_open_read_transactions", "reads need none"),
    ("etcd_server_apply_duration_seconds", "grpc_server_handling_seconds has it by method"),
    ("etcd_server_client_requests_total", "grpc_server_started_total has it by method"),
    ("etcd_server_go_version", "it is not Go"),
    ("etcd_server_slow_read_indexes_total", "grpc_server_handling_seconds has it"),
    ("etcd_server_snapshot_apply_in_progress_total", "a snapshot is put in place in one step"),
    ("etcd_snap_", "there are no snapshot files"),
    ("process_network_", "not of this process alone"),
    ("promhttp_", "of Go's library"),
    ("go_", "of Go's library"),
];

/// Type and names of labels of each family.
fn families(page: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut found: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    let mut family = String::new();
    for line in page.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            family = name.to_owned();
            assert!(
                found.insert(family.clone(), (kind.to_owned(), BTreeSet::new())).is_none(),
                "{name} twice"
            );
        } else if !line.starts_with('#')
            && let Some((labels, _)) = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'))
        {
            let names = labels
                .split("\",")
                .filter_map(|label| label.split_once("=\""))
                .map(|(name, _)| name.to_owned());
            found.get_mut(&family).unwrap().1.extend(names);
        }
    }
    found
}

/// A store on a disk, served with all metrics; answers its address.
async fn served(dir: &std::path::Path) -> String {
    let engine = Measured::new(LogEngine::open(dir).unwrap());
    let disk = Some(engine.metrics());
    let store = Arc::new(EmbeddedStore::with_engine(engine, Config::default()).await.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = ServerConfig { member: Member::default(), disk, ..ServerConfig::default() };
    tokio::spawn(EtcdServer::with_config(store, config).serve(listener, CancellationToken::new()));
    address
}

/// What both are asked for, so that both have something to tell.
async fn use_a_little(store: &EtcdStore) {
    store.put("a", "1").await.unwrap();
    store.get("a").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_types_and_labels_are_etcds() {
    let Some(etcd) = Etcd::start().await else { return };
    let dir = scratch();
    let address = served(dir.path()).await;
    use_a_little(&etcd.store).await;
    use_a_little(&EtcdStore::connect(format!("http://{address}")).await.unwrap()).await;
    let theirs = families(&get(etcd.endpoint.trim_start_matches("http://"), "/metrics").await.1);
    let ours = families(&get(&address, "/metrics").await.1);
    assert!(theirs.len() > 80, "{}", theirs.len());
    for (name, (kind, labels)) in &theirs {
        let told = ours.get(name);
        let is_listed = NOT_TOLD.iter().any(|(prefix, _)| name.starts_with(prefix));
        match told {
            None => assert!(is_listed, "{name} is neither told nor listed"),
            Some((our_kind, our_labels)) => {
                assert_eq!(our_kind, kind, "{name}");
                // What has no value in one of them has no labels there.
                if !labels.is_empty() && !our_labels.is_empty() {
                    assert_eq!(our_labels, labels, "{name}");
                }
            }
        }
    }
    for (prefix, why) in NOT_TOLD {
        assert!(!ours.keys().any(|name| name.starts_with(prefix)), "{prefix} is told, though {why}");
    }
    for name in ours.keys() {
        let newer = [
            "etcd_debugging_mvcc_db_compaction_last",
            "etcd_debugging_auth_revision",
            "etcd_disk_defrag_inflight",
            "etcd_disk_wal_write_bytes_total",
            "os_fd_",
        ];
        let known = theirs.contains_key(name) || newer.iter().any(|newer| name.starts_with(newer));
        assert!(known, "{name} is no name of etcd's");
    }
}

/// The value of a line without labels, or with these.
fn value(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {page}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_follow_what_clients_do() {
    let dir = scratch();
    let address = served(dir.path()).await;
    let page = async || get(&address, "/metrics").await.1;
    let clients = [
        EtcdStore::connect(format!("http://{address}")).await.unwrap(),
        EtcdStore::connect(format!("http://{address}")).await.unwrap(),
    ];
    let before = page().await;
    assert_eq!(value(&before, "etcd_debugging_mvcc_watcher_total"), 0.0);
    let mut watches = Vec::new();
    for client in &clients {
        watches.push(client.watch(WatchRequest::prefix("k")).await.unwrap());
    }
    for n in 0..10 {
        clients[0].put(format!("k{n}"), vec![b'x'; 1000]).await.unwrap();
    }
    clients[0].delete("k0").await.unwrap();
    clients[0].compact(5).await.unwrap();
    for watch in &mut watches {
        for _ in 0..11 {
            futures::StreamExt::next(watch).await.unwrap().unwrap();
        }
    }
    let after = page().await;
    let change = |name: &str| value(&after, name) - value(&before, name);
    for (name, wanted) in [
        ("etcd_mvcc_put_total", 10.0),
        ("etcd_mvcc_delete_total", 1.0),
        ("etcd_debugging_mvcc_keys_total", 9.0),
        ("etcd_debugging_mvcc_current_revision", 11.0),
        ("etcd_debugging_mvcc_watch_stream_total", 2.0),
        ("etcd_debugging_mvcc_watcher_total", 2.0),
        ("etcd_debugging_mvcc_events_total", 22.0),
        ("etcd_debugging_mvcc_compact_revision", 5.0),
        ("etcd_debugging_mvcc_db_compaction_total_duration_milliseconds_count", 1.0),
        ("etcd_server_proposals_pending", 0.0),
        ("etcd_server_proposals_failed_total", 0.0),
        (
            "grpc_server_started_total{grpc_method=\"Txn\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"}",
            11.0,
        ),
    ] {
        assert_eq!(change(name), wanted, "{name}");
    }
    let synced = change("etcd_disk_wal_fsync_duration_seconds_count");
    assert!((1.0..=20.0).contains(&synced), "{synced} commits");
    assert!(change("etcd_disk_wal_write_bytes_total") > 10_000.0);
    assert!(change("etcd_network_client_grpc_received_bytes_total") > 10_000.0);
    assert!(change("etcd_network_client_grpc_sent_bytes_total") > 20_000.0, "what watchers got");
    assert!(value(&after, "process_resident_memory_bytes") > 1e6);
    let (whole, used) = ("etcd_mvcc_db_total_size_in_bytes", "etcd_mvcc_db_total_size_in_use_in_bytes");
    assert!(value(&after, whole) >= value(&after, used) && value(&after, used) > 9_000.0);
    assert!(value(&after, whole) < 1e6, "space that is only set aside does not count");
    drop(watches);
    drop(clients);
    while value(&page().await, "etcd_debugging_mvcc_watcher_total") > 0.0 {
        tokio::task::yield_now().await;
    }
}
