use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use futures::future::join_all;
use kube_store::{MemoryStore, Store, StoreExt};
use tokio_util::sync::CancellationToken;

use super::Cache;
use crate::config::Config;
use crate::kinds::Kinds;

/// Writes objects and waits for each to show, while others do the same.
async fn write_and_wait() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (kinds, stop) = (Kinds::builtin(), CancellationToken::new());
    let kind = kinds.find("", "v1", "configmaps").expect("it is built in");
    let config = Config::default();
    let cache = Cache::start(Arc::clone(kind), "/x/".into(), Arc::clone(&store), &config, stop.clone());
    let writer = |number: usize| {
        let (cache, store) = (cache.clone(), Arc::clone(&store));
        tokio::spawn(async move {
            for _ in 0..1_000 {
                let object = format!(r#"{{"metadata":{{"name":"{number}"}}}}"#);
                let revision = store.put(format!("/x/{number}"), object).await.expect("written");
                cache.wait_for(revision).await.expect("it shows");
            }
        })
    };
    for ended in join_all((0..8).map(writer)).await {
        ended.expect("no panic");
    }
    stop.cancel();
}

#[test]
fn those_who_wait_do_not_lock_out_what_they_wait_for() {
    // Threads that block each other block a timeout of the runtime's too.
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
        runtime.expect("a runtime").block_on(write_and_wait());
        done.send(())
    });
    ended.recv_timeout(Duration::from_secs(120)).expect("no deadlock");
}
