//! A process killed while it writes loses nothing that it acknowledged.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use kube_store::{Config, EmbeddedStore, Store, StoreExt};

const DIR: &str = "KUBE_STORE_CRASH_DIR";
const ROUND: &str = "KUBE_STORE_CRASH_ROUND";
/// Set for a child that acknowledges what it has not done yet.
const LIES: &str = "KUBE_STORE_CRASH_LIES";
const CLIENTS: u32 = 8;
/// Acknowledged writes after which a child is killed, at most.
const MOST: usize = 400;

/// The process to kill: writes for ever and prints each key once it is acknowledged.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "is the child process of killed_while_writing"]
async fn child() {
    let (dir, round) = (std::env::var(DIR).unwrap(), std::env::var(ROUND).unwrap());
    let lies = std::env::var_os(LIES).is_some();
    let store = Arc::new(EmbeddedStore::open(dir, Config::default()).await.unwrap());
    let clients = (0..CLIENTS).map(|client| {
        let (store, round) = (store.clone(), round.clone());
        tokio::spawn(async move {
            for n in 0u64.. {
                let key = format!("/{round}/{client}/{n}");
                let tell = |revision: i64| {
                    std::io::stdout().write_all(format!("ack {revision} {key}\n").as_bytes()).unwrap();
                };
                if lies {
                    tell(store.revision().await.unwrap() + 1);
                }
                let revision = store.put(key.clone(), key.clone()).await.unwrap();
                if !lies {
                    tell(revision);
                }
                if n % 16 == 15 {
                    // Compaction may fail only because another client did it.
                    let revision = store.revision().await.unwrap();
                    let _ = store.compact(revision - 10).await;
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

/// A key that was acknowledged, and its revision.
type Acknowledged = (i64, String);

/// Runs the child until it has acknowledged `enough` writes, kills it, and answers all it acknowledged. With 0 it is killed
/// while it opens the store, or soon after.
fn run_and_kill(dir: &Path, round: usize, enough: usize, env: &[(&str, &str)]) -> Vec<Acknowledged> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .envs(env.iter().copied())
        .args(["crash::child", "--exact", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    for line in lines {
        let line = line.unwrap();
        // The last line may be cut; it is complete only with its end, which `lines` does not show.
        if let Some((revision, key)) = line.strip_prefix("ack ").and_then(|line| line.split_once(' ')) {
            acknowledged.push((revision.parse().unwrap(), key.to_owned()));
        }
        // The harness says that it runs the test before the store is opened.
        if acknowledged.len() == enough || (enough == 0 && line.starts_with("running")) {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success());
    acknowledged
}

/// A number from the environment.
fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |number| number.parse().unwrap())
}

/// 20 times with seed 7, or as often as `KUBE_STORE_CRASHES` and with the seed that `KUBE_STORE_CRASH_SEED` says. What is
/// looked at in a round is what it wrote, and at the end everything.
#[tokio::test(flavor = "multi_thread")]
async fn killed_while_writing() {
    let (rounds, seed) = (setting("KUBE_STORE_CRASHES", 20), setting("KUBE_STORE_CRASH_SEED", 7));
    std::io::stdout().write_all(format!("{rounds} crashes, seed {seed}\n").as_bytes()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (mut all, mut moments, mut newest) = (Vec::new(), fastrand::Rng::with_seed(seed), 1);
    for round in 0..usize::try_from(rounds).unwrap() {
        let enough = if moments.u8(..8) == 0 { 0 } else { moments.usize(1..MOST) };
        let acknowledged = run_and_kill(dir.path(), round, enough, &[]);
        assert!(acknowledged.len() >= enough, "round {round}: the child ended early");
        let store = EmbeddedStore::open(dir.path(), Config::default()).await.unwrap();
        assert_eq!(lost(&store, &acknowledged).await, Vec::new(), "round {round}");
        let revision = store.revision().await.unwrap();
        let told = acknowledged.iter().map(|(revision, _)| *revision).max().unwrap_or(newest);
        assert!(revision >= told && told >= newest, "round {round}: {revision} after {told} and {newest}");
        newest = store.put("/after", "x").await.unwrap();
        assert_eq!(newest, revision + 1);
        all.extend(acknowledged);
    }
    // None of a round is lost in a later one either.
    let store = EmbeddedStore::open(dir.path(), Config::default()).await.unwrap();
    assert_eq!(lost(&store, &all).await, Vec::new());
    let told = format!("{} acknowledged writes are there, at revision {newest}\n", all.len());
    std::io::stdout().write_all(told.as_bytes()).unwrap();
}

/// What was acknowledged and is not there.
async fn lost(store: &EmbeddedStore, acknowledged: &[Acknowledged]) -> Vec<Acknowledged> {
    let mut lost = Vec::new();
    for (revision, key) in acknowledged {
        let kv = store.get(key.clone()).await.unwrap();
        if kv.is_none_or(|kv| kv.mod_revision != *revision || kv.value != key.as_bytes()) {
            lost.push((*revision, key.clone()));
        }
    }
    lost
}

/// The test above sees what it is there for. That nothing is synced it would not see, for the system outlives the process; the
/// simulation does.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_acknowledges_too_early_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let acknowledged = run_and_kill(dir.path(), 0, 100, &[(LIES, "1")]);
    let store = EmbeddedStore::open(dir.path(), Config::default()).await.unwrap();
    let lost = lost(&store, &acknowledged).await;
    let is_gone = async |key: &String| store.get(key.clone()).await.unwrap().is_none();
    let mut gone = 0;
    for (_, key) in &lost {
        gone += usize::from(is_gone(key).await);
    }
    assert!(gone > 0, "{lost:?}");
}
