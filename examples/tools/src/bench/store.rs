use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kube_store::{Compare, EtcdStore, Op, PutRequest, Store, StoreExt, TxnRequest};
use tokio::time::{Instant, sleep};

use super::process::Server;
use super::{Figure, paired, per_second};
use crate::Failure;

/// Puts of 256 bytes by 1 and by 64 clients, and Kubernetes-shaped transactions (compare the revision, put 1 KiB) by 300, each
/// acknowledged after it is synced: `kube-store` beside this binary, and `etcd` in `peer_bin`.
///
/// # Errors
/// If a server can't be started or stops answering.
pub(crate) async fn run(peer_bin: Option<&Path>) -> Result<Vec<Figure>, Failure> {
    let ours = std::env::current_exe()?.with_file_name("kube-store");
    let ours = measure(&ours, |address, dir| {
        let data = dir.join("data").display().to_string();
        ["--listen-client-urls", &format!("http://{address}"), "--data-dir", &data].map(String::from).to_vec()
    });
    let ours = ours.await?;
    let Some(peer_bin) = peer_bin else { return Ok(paired(ours, None)) };
    let etcd = peer_bin.join("etcd");
    let peer = measure(&etcd, |address, dir| {
        let (url, data) = (format!("http://{address}"), dir.join("data").display().to_string());
        [
            "--listen-client-urls",
            &url,
            "--advertise-client-urls",
            &url,
            "--data-dir",
            &data,
            "--listen-peer-urls",
            "http://127.0.0.1:0",
        ]
        .map(String::from)
        .to_vec()
    });
    Ok(paired(ours, Some(peer.await?)))
}

async fn measure(
    program: &Path,
    arguments: impl FnOnce(&str, &Path) -> Vec<String>,
) -> Result<Vec<(&'static str, f64)>, Failure> {
    let server = Server::start(program, arguments)?;
    // A few connections: clients of an API server share one, but not three hundred.
    let mut stores = vec![Arc::new(first(&server).await?)];
    for _ in 1..8 {
        stores.push(Arc::new(connect(&server).await?));
    }
    Ok(vec![
        ("put-1", puts(&stores, 1, 2_000).await?),
        ("put-64", puts(&stores, 64, 20_000).await?),
        ("txn-300", txns(&stores, 300, 30_000).await?),
    ])
}

async fn connect(server: &Server) -> kube_store::Result<EtcdStore> {
    EtcdStore::connect(format!("http://{}", server.address)).await
}

/// The first connection that is answered.
async fn first(server: &Server) -> Result<EtcdStore, Failure> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let answered = async || {
        let store = connect(server).await?;
        store.status().await.map(|_| store)
    };
    loop {
        match answered().await {
            Ok(store) => return Ok(store),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Operations per second of `clients` that each do their share of `operations`, one after another.
async fn together<F>(
    stores: &[Arc<EtcdStore>],
    clients: usize,
    operations: usize,
    operation: F,
) -> Result<f64, Failure>
where
    F: AsyncFn(&EtcdStore, usize, usize) -> Result<(), Failure>,
{
    let started = Instant::now();
    let client = async |client: usize| {
        let store = stores.get(client % stores.len()).ok_or("no connection")?;
        for n in 0..operations / clients {
            operation(store, client, n).await?;
        }
        Ok::<_, Failure>(())
    };
    futures::future::try_join_all((0..clients).map(client)).await?;
    Ok(per_second(operations, started))
}

async fn puts(stores: &[Arc<EtcdStore>], clients: usize, operations: usize) -> Result<f64, Failure> {
    together(stores, clients, operations, async |store, client, n| {
        store.put(format!("/put/{client}/{}", n % 100), Bytes::from_static(&[7; 256])).await?;
        Ok(())
    })
    .await
}

async fn txns(stores: &[Arc<EtcdStore>], clients: usize, operations: usize) -> Result<f64, Failure> {
    let revisions: Vec<_> = (0..clients).map(|_| std::sync::atomic::AtomicI64::new(0)).collect();
    together(stores, clients, operations, async |store, client, _| {
        use std::sync::atomic::Ordering::Relaxed;
        let revision = revisions.get(client).ok_or("no such client")?;
        let key = format!("/registry/pods/default/pod-{client}");
        let txn = TxnRequest {
            compares: vec![Compare::mod_revision_eq(key.clone(), revision.load(Relaxed))],
            success: vec![Op::Put(PutRequest::new(key, Bytes::from_static(&[7; 1024])))],
            failure: Vec::new(),
        };
        let answer = store.txn(txn).await?;
        if !answer.succeeded {
            return Err("a transaction lost a race that nobody else ran".into());
        }
        revision.store(answer.revision, Relaxed);
        Ok(())
    })
    .await
}
