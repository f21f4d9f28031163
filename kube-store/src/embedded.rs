//! The store on the local disk.

use std::io::ErrorKind;
use std::path::Path;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::driver::Driver;
use crate::engine::{Engine, LogEngine};
use crate::mvcc::State;
use crate::{
    Config, Error, LeaseRequest, LeaseResponse, RangeRequest, RangeResponse, Result, Revision, Store,
    StoreStatus, TxnRequest, TxnResponse, WatchRequest, WatchStream,
};

/// A store in a directory of this machine. An answered write has been synced to the disk. All keys and the kept history
/// are held in memory as well, so reads touch no disk.
///
/// Its writes wait for a thread, which tokio's paused clock does not know of: simulations use
/// [`MemoryStore`](crate::MemoryStore).
///
/// Dropping it waits for the batch being written; after that the directory can be opened again.
#[derive(Debug)]
pub struct EmbeddedStore(Driver);

impl EmbeddedStore {
    /// Opens the store in `dir`, or makes one there; the directory is locked against other processes. Call it within a
    /// tokio runtime. [`Error::Unavailable`] when another process, or another store in this one, has it.
    pub async fn open(dir: impl AsRef<Path>, config: Config) -> Result<Self> {
        Self::in_dir(dir.as_ref(), LogEngine::open, config).await
    }

    /// The same on RocksDB; the two do not read each other's directories.
    #[cfg(feature = "rocksdb")]
    pub async fn open_rocksdb(dir: impl AsRef<Path>, config: Config) -> Result<Self> {
        Self::in_dir(dir.as_ref(), crate::engine::RocksDbEngine::open, config).await
    }

    /// Fills `dir`, in which there must not be a store, from a snapshot of etcd or of our server; answers the revision.
    #[cfg(feature = "server")]
    pub async fn restore(
        dir: impl AsRef<Path>,
        snapshot: impl AsRef<Path>,
        check: crate::SnapshotCheck,
    ) -> Result<Revision> {
        Self::fill(dir.as_ref(), LogEngine::open, snapshot.as_ref(), check).await
    }

    /// The same on RocksDB.
    #[cfg(all(feature = "server", feature = "rocksdb"))]
    pub async fn restore_rocksdb(
        dir: impl AsRef<Path>,
        snapshot: impl AsRef<Path>,
        check: crate::SnapshotCheck,
    ) -> Result<Revision> {
        Self::fill(dir.as_ref(), crate::engine::RocksDbEngine::open, snapshot.as_ref(), check).await
    }

    #[cfg(feature = "server")]
    async fn fill<E: Engine>(
        dir: &Path,
        open: fn(&Path) -> std::io::Result<E>,
        snapshot: &Path,
        check: crate::SnapshotCheck,
    ) -> Result<Revision> {
        let (dir, snapshot) = (dir.to_owned(), snapshot.to_owned());
        let fill = move || {
            std::fs::create_dir_all(&dir).map_err(Error::storage)?;
            let mut engine = open(&dir).map_err(Error::storage)?;
            crate::etcd::server::restore(&snapshot, check, &mut engine)
        };
        tokio::task::spawn_blocking(fill).await.map_err(|_| Error::closed())?
    }

    async fn in_dir<E: Engine>(
        dir: &Path,
        open: fn(&Path) -> std::io::Result<E>,
        config: Config,
    ) -> Result<Self> {
        let dir = dir.to_owned();
        let open = move || {
            std::fs::create_dir_all(&dir)?;
            open(&dir)
        };
        let engine = tokio::task::spawn_blocking(open).await.map_err(|_| Error::closed())?;
        let engine = engine.map_err(|error| match error.kind() {
            ErrorKind::ResourceBusy => Error::Unavailable { reason: error.to_string() },
            _ => Error::storage(error),
        })?;
        Self::with_engine(engine, config).await
    }

    /// Opens the store that `engine` holds.
    pub async fn with_engine(engine: impl Engine, config: Config) -> Result<Self> {
        config.validate()?;
        let now = Instant::now();
        let load = move || State::load(&engine, now).map(|state| (state, engine));
        let (state, engine) = tokio::task::spawn_blocking(load).await.map_err(|_| Error::closed())??;
        let driver = Driver::start_durable(state, config, Box::new(engine))?;
        driver.flush().await?;
        Ok(Self(driver))
    }
}

crate::driver::delegate!(EmbeddedStore);
