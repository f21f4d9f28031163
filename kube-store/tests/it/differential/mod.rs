//! The same random traffic to Debian's etcd and to this crate's server: answers, errors and revisions have to be the same,
//! field by field. What differs on purpose is listed in the documentation of `EtcdServer`, and is left out or made equal in
//! `side.rs` and `traffic.rs`, nowhere else.

mod hashes;
mod side;
mod traffic;

use std::sync::Arc;
use std::time::Duration;

use kube_store::{AutoCompaction, Config, EtcdServer, Member, MemoryStore};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::side::Side;
use self::traffic::{Call, Traffic};
use crate::peer::Etcd;

/// Calls between two looks at what the watches reported.
const ROUND: usize = 40;

/// Differences after which a run ends.
const MOST: usize = 5;

/// Starts this crate's server on an empty store; answers its endpoint.
async fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let config = Config { auto_compaction: AutoCompaction::Off, ..Config::default() };
    let store = Arc::new(MemoryStore::with_config(config).unwrap());
    tokio::spawn(EtcdServer::new(store, Member::default()).serve(listener, CancellationToken::new()));
    endpoint
}

async fn compare(seed: u64, calls: usize) {
    let Some(etcd) = Etcd::start().await else { return };
    let mut theirs = Side::connect(&etcd.endpoint).await;
    let mut ours = Side::connect(&serve().await).await;
    let mut traffic = Traffic::new(seed);
    let mut differences = Vec::new();
    for n in 0..calls {
        let call = traffic.next();
        if n % ROUND == 0 || matches!(call, Call::Compact(_) | Call::CancelWatch(_)) {
            // Whether a watch that lags is cut or cancelled before it reported everything is a race in etcd.
            compare_watches(&mut ours, &mut theirs, n, &mut differences).await;
            for revision in [0, traffic.some_revision()] {
                compare_hashes(&mut ours, &mut theirs, revision, &mut differences).await;
            }
        }
        if matches!(call, Call::Compact(_)) {
            theirs.settle().await;
        }
        let (found, wanted) = tokio::join!(ours.call(call.clone()), theirs.call(call.clone()));
        if found != wanted {
            differences.push(format!("call {n}: {call:?}\nours: {found:?}\netcd: {wanted:?}"));
        }
        if differences.len() > MOST {
            break;
        }
        traffic.saw(&call, found.revision, found.result.is_ok());
    }
    compare_watches(&mut ours, &mut theirs, calls, &mut differences).await;
    assert!(differences.is_empty(), "seed {seed}:\n{}", differences.join("\n\n"));
    assert!(traffic.revision > i64::try_from(calls / 10).unwrap(), "the traffic hardly wrote anything");
}

async fn compare_watches(ours: &mut Side, theirs: &mut Side, n: usize, differences: &mut Vec<String>) {
    let found = ours.reported().await;
    let wanted = theirs.reported_like(&found).await;
    let ids: std::collections::BTreeSet<_> = found.keys().chain(wanted.keys()).collect();
    for id in ids.into_iter().filter(|id| found.get(id) != wanted.get(id)) {
        let (found, wanted) = (found.get(id), wanted.get(id));
        differences.push(format!("watch {id} before call {n}:\nours: {found:?}\netcd: {wanted:?}"));
    }
}

/// etcd's compaction goes on after its answer, and when no key is left its hash covers what is still to be removed.
async fn compare_hashes(ours: &mut Side, theirs: &mut Side, revision: i64, differences: &mut Vec<String>) {
    let found = ours.hash(revision).await;
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
    compare(1, 3_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes longer than a test should; run it after changes of the server"]
async fn the_same_as_etcd_for_long() {
    for seed in 2..6 {
        compare(seed, 10_000).await;
    }
}
