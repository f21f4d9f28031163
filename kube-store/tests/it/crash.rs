//! A process killed while it writes loses nothing that it acknowledged.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use kube_store::{Config, EmbeddedStore, Store, StoreExt};

const DIR: &str = "KUBE_STORE_CRASH_DIR";
const ROUND: &str = "KUBE_STORE_CRASH_ROUND";
const CLIENTS: u32 = 8;

/// The process to kill: writes for ever and prints each key once it is acknowledged.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "is the child process of killed_while_writing"]
async fn child() {
    let (dir, round) = (std::env::var(DIR).unwrap(), std::env::var(ROUND).unwrap());
    let store = Arc::new(EmbeddedStore::open(dir, Config::default()).await.unwrap());
    let clients = (0..CLIENTS).map(|client| {
        let (store, round) = (store.clone(), round.clone());
        tokio::spawn(async move {
            for n in 0u64.. {
                let key = format!("/{round}/{client}/{n}");
                store.put(key.clone(), key.clone()).await.unwrap();
                std::io::stdout().write_all(format!("ack {key}\n").as_bytes()).unwrap();
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

/// Runs the child until it has acknowledged `enough` writes, kills it, and answers all it acknowledged.
fn run_and_kill(dir: &std::path::Path, round: usize, enough: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    for line in lines {
        // The last line may be cut; it is complete only with its end, which `lines` does not show.
        if let Some(key) = line.unwrap().strip_prefix("ack ") {
            acknowledged.push(key.to_owned());
        }
        if acknowledged.len() == enough {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success());
    acknowledged
}

/// How often the child is killed: 20 times, or as often as the environment says.
fn rounds() -> usize {
    std::env::var("KUBE_STORE_CRASHES").map_or(20, |rounds| rounds.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_writing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut all, mut moments) = (Vec::new(), fastrand::Rng::with_seed(7));
    for round in 0..rounds() {
        let enough = moments.usize(1..400);
        let acknowledged = run_and_kill(dir.path(), round, enough);
        assert!(acknowledged.len() >= enough, "the child ended early");
        let store = EmbeddedStore::open(dir.path(), Config::default()).await.unwrap();
        all_are_there(&store, &acknowledged).await;
        all.extend(acknowledged);
        let before = store.revision().await.unwrap();
        assert_eq!(store.put("/after", "x").await.unwrap(), before + 1);
    }
    // None of a round is lost in a later one either.
    let store = EmbeddedStore::open(dir.path(), Config::default()).await.unwrap();
    all_are_there(&store, &all).await;
}

async fn all_are_there(store: &EmbeddedStore, acknowledged: &[String]) {
    for key in acknowledged {
        let value = store.get(key.clone()).await.unwrap().map(|kv| kv.value);
        assert_eq!(value, Some(key.clone().into()), "{key} was acknowledged");
    }
}
