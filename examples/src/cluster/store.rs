use std::path::Path;
use std::sync::Arc;

use kube_store::{Config, EmbeddedStore, EtcdStore, MemoryStore, Store as Backend};

use super::{Flags, Parts, Store};
use crate::Failure;
use crate::progress::Progress;

/// Requests of the API server are as large as its largest body, and a little more.
const MAX_REQUEST_BYTES: usize = 4 << 20;

pub(super) async fn open(
    flags: &Flags,
    _: &mut Parts,
    progress: &mut Progress,
) -> Result<Arc<dyn Backend>, Failure> {
    let config = Config { max_request_bytes: MAX_REQUEST_BYTES, ..Config::default() };
    let (store, detail): (Arc<dyn Backend>, String) = match &flags.store {
        Store::Memory => (Arc::new(MemoryStore::with_config(config)?), "in memory".into()),
        Store::Embedded => {
            let dir = flags.data_dir.join("store");
            (Arc::new(EmbeddedStore::open(&dir, config).await?), dir.display().to_string())
        }
        Store::Etcd(urls) => {
            let url = urls.first().ok_or("no URL of an etcd server")?;
            (Arc::new(EtcdStore::connect(url.clone()).await?), format!("etcd at {url}"))
        }
        Store::RocksDb => rocksdb(&flags.data_dir.join("rocksdb"), config).await?,
    };
    progress.ready("store", &format!("{detail}, revision {}", store.status().await?.revision));
    Ok(store)
}

#[cfg(feature = "rocksdb")]
async fn rocksdb(dir: &Path, config: Config) -> Result<(Arc<dyn Backend>, String), Failure> {
    Ok((Arc::new(EmbeddedStore::open_rocksdb(dir, config).await?), format!("RocksDB in {}", dir.display())))
}

#[cfg(not(feature = "rocksdb"))]
async fn rocksdb(_: &Path, _: Config) -> Result<(Arc<dyn Backend>, String), Failure> {
    Err("built without RocksDB, which needs a C++ compiler and libclang: add --features rocksdb to cargo's command line".into())
}
