//! The same random traffic to Debian's etcd and to this crate's server: answers, errors and revisions have to be the same,
//! field by field. What differs on purpose is listed in the documentation of `EtcdServer`, and is left out or made equal in
//! `side.rs` and `traffic.rs`, nowhere else.

mod accounts;
mod hashes;
mod members;
mod queues;
mod side;
mod snapshots;
mod traffic;

use std::sync::Arc;
use std::time::Duration;

use kube_store::engine::MemoryEngine;
use kube_store::raft::{LocalNetwork, MemberInfo, RaftConfig, RaftStore, Start};
use kube_store::{AutoCompaction, Config, EtcdServer, Member, MemoryStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::side::{Answer, Side};
use self::traffic::{Call, Kind, Traffic};
use crate::peer::Etcd;

/// Calls between two looks at what the watches reported.
const ROUND: usize = 40;

/// Calls between two snapshots.
const SNAPSHOT: usize = 5 * ROUND;

/// Differences after which a run ends.
const MOST: usize = 20;

/// Where the only member says that others find it.
const PEER_URL: &str = "http://127.0.0.1:9";

/// Starts this crate's server on an empty store; answers its endpoint.
async fn serve(kind: Kind) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let store = Config { auto_compaction: AutoCompaction::Off, ..Config::default() };
    let (name, peer_urls) = ("default".to_owned(), vec![PEER_URL.to_owned()]);
    let member = Member { name: name.clone(), peer_urls: peer_urls.clone(), ..Member::default() };
    let config = ServerConfig { member, bcrypt_cost: 4, ..ServerConfig::default() };
    let server = match kind {
        Kind::Alone => EtcdServer::with_config(Arc::new(MemoryStore::with_config(store).unwrap()), config),
        Kind::Group => {
            let start = Start::New(vec![MemberInfo { name, peer_urls, ..MemberInfo::new(1) }]);
            let tick = Duration::from_millis(20);
            let raft = RaftConfig { start, tick, store, ..RaftConfig::member(1, 1) };
            let network = LocalNetwork::default();
            let store = RaftStore::open(MemoryEngine::default(), raft, network.transport(1)).await.unwrap();
            network.attach(1, store.inbox());
            EtcdServer::of_group(Arc::new(store), config)
        }
    };
    tokio::spawn(server.serve(listener, CancellationToken::new()));
    endpoint
}

async fn compare(seed: u64, calls: usize, kind: Kind) {
    let Some(etcd) = Etcd::start().await else { return };
    let mut theirs = Side::of_etcd(&etcd.endpoint).await;
    let mut ours = Side::ours(&serve(kind).await).await;
    let mut traffic = Traffic::new(seed, kind);
    let mut differences = Vec::new();
    for n in 0..calls {
        let was_free = traffic.is_free();
        let call = traffic.next();
        let is_due = n % ROUND == 0 || matches!(call, Call::Compact(_) | Call::CancelWatch(_));
        if is_due && was_free {
            // Whether a watch that lags is cut or cancelled before it reported everything is a race in etcd.
            traffic.revision = compare_watches(&mut ours, &mut theirs, n, &mut differences).await;
            for revision in [0, traffic.some_revision()] {
                compare_hashes(&mut ours, &mut theirs, revision, &mut differences).await;
            }
            if n % SNAPSHOT == 0 {
                snapshots::compare(&mut ours, &mut theirs, &mut differences).await;
            }
        }
        let (found, wanted) = tokio::join!(ours.call(call.clone()), theirs.call(call.clone()));
        if found != wanted && !sees_twice_last(&found, &wanted) {
            differences.push(format!("call {n}: {call:?}\nours: {found:?}\netcd: {wanted:?}"));
        }
        // After that they may not even agree on who calls.
        let is_apart = !differences.is_empty() && matches!(call, Call::Account(_));
        if is_apart || differences.len() > MOST {
            break;
        }
        traffic.saw(&call, found.revision, found.result.is_ok());
    }
    if traffic.is_free() && differences.is_empty() {
        compare_watches(&mut ours, &mut theirs, calls, &mut differences).await;
        snapshots::compare(&mut ours, &mut theirs, &mut differences).await;
    }
    assert!(differences.is_empty(), "seed {seed}, {kind:?}:\n{}", differences.join("\n\n"));
    assert!(traffic.revision > i64::try_from(calls / 10).unwrap(), "the traffic hardly wrote anything");
}

/// Compares what the watches have reported; answers the revision.
async fn compare_watches(ours: &mut Side, theirs: &mut Side, n: usize, differences: &mut Vec<String>) -> i64 {
    let ((found, revision), (wanted, at)) = tokio::join!(ours.reported(), theirs.reported());
    assert_eq!(revision, at, "the revisions differ before call {n}: {differences:?}");
    let ids: std::collections::BTreeSet<_> = found.keys().chain(wanted.keys()).collect();
    for id in ids.into_iter().filter(|id| found.get(id) != wanted.get(id)) {
        let (found, wanted) = (found.get(id), wanted.get(id));
        differences.push(format!("watch {id} before call {n}:\nours: {found:?}\netcd: {wanted:?}"));
    }
    revision
}

/// Whether both refuse a call, and this crate's server for something else than that it changes a key twice, which it sees last.
fn sees_twice_last(found: &Answer, wanted: &Answer) -> bool {
    let is_twice = |error: &String| error.contains("duplicate key");
    found.result.is_err() && wanted.result.as_ref().is_err_and(is_twice)
}

/// Whether the etcd to compare with is 3.4.
fn is_old() -> bool {
    crate::peer::version().is_some_and(|version| version.starts_with("3.4."))
}

/// etcd's compaction goes on after its answer, and when no key is left its hash covers what is still to be removed.
async fn compare_hashes(ours: &mut Side, theirs: &mut Side, revision: i64, differences: &mut Vec<String>) {
    let found = ours.hash(revision).await;
    // Newer etcds still know the hash that a revision had when it was compacted.
    if found.result.as_ref().is_err_and(|error| error.contains("compacted")) && !is_old() {
        return;
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let mut wanted = theirs.hash(revision).await;
    while wanted != found && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
        wanted = theirs.hash(revision).await;
    }
    if found != wanted {
        differences.push(format!("hash at {revision}:\nours: {found:?}\netcd: {wanted:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_as_etcd() {
    compare(1, 3_000, Kind::Alone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_one_is_the_same_as_etcd() {
    compare(2, 3_000, Kind::Group).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes longer than a test should; run it after changes of the server"]
async fn the_same_as_etcd_for_long() {
    for seed in 1..4 {
        for kind in [Kind::Alone, Kind::Group] {
            compare(seed, 10_000, kind).await;
        }
    }
}
