//! The `kube-store` binary: etcd's flags, its listeners, and snapshots into an empty folder.

use std::path::Path;
use std::sync::Arc;

use kube_store::engine::{Engine, LogEngine};
use kube_store::{Config, EmbeddedStore, EtcdServer, Member, MemoryStore, ServerConfig, SnapshotCheck};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::flags::{self, Arguments, Command, Engine as EngineKind, Flags, Snapshot};
use crate::{Failure, group, tls};

/// Does what the command line says.
///
/// # Errors
/// What is wrong with the flags; those of the store and of the listeners.
pub(crate) async fn run(arguments: Arguments, shutdown: CancellationToken) -> Result<(), Failure> {
    match arguments.command {
        None => serve(arguments.flags, shutdown).await,
        Some(Command::Snapshot { command: Snapshot::Restore { file, data_dir, skip_hash_check } }) => {
            let check = if skip_hash_check { SnapshotCheck::Skipped } else { SnapshotCheck::Required };
            let revision = EmbeddedStore::restore(&data_dir, &file, check).await?;
            tracing::info!(revision, data_dir = %data_dir.display(), "restored the snapshot");
            Ok(())
        }
    }
}

async fn serve(flags: Flags, shutdown: CancellationToken) -> Result<(), Failure> {
    flags.members()?;
    let listeners =
        listeners(&flags.listen_client_urls, |stop| tls::watch_server(flags.tls_files()?, stop), &shutdown)
            .await?;
    match flags.engine {
        EngineKind::Embedded => serve_on(flags, LogEngine::open, listeners, shutdown).await,
        #[cfg(feature = "rocksdb")]
        EngineKind::Rocksdb => {
            serve_on(flags, kube_store::engine::RocksDbEngine::open, listeners, shutdown).await
        }
        EngineKind::Memory if flags.in_group() => {
            Err("--engine memory: a member of a group needs a disk".into())
        }
        EngineKind::Memory => {
            let store = Arc::new(MemoryStore::with_config(config(&flags)?)?);
            serve_clients(EtcdServer::with_config(store, server_config(&flags)), listeners, shutdown).await
        }
    }
}

/// Serves what an engine in the data folder holds: a member of a group, or a store that is alone.
async fn serve_on<E: Engine>(
    flags: Flags,
    open: fn(&Path) -> std::io::Result<E>,
    listeners: Vec<Listener>,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let dir = flags.data_dir.clone();
    let opened = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&dir)?;
        open(&dir)
    });
    let engine = opened.await?.map_err(|error| format!("{}: {error}", flags.data_dir.display()))?;
    if flags.in_group() || kube_store::raft::RaftStore::identity(&engine)?.is_some() {
        return group::serve(flags, engine, listeners, shutdown).await;
    }
    let store = Arc::new(EmbeddedStore::with_engine(engine, config(&flags)?).await?);
    serve_clients(EtcdServer::with_config(store, server_config(&flags)), listeners, shutdown).await
}

pub(crate) fn config(flags: &Flags) -> Result<Config, Failure> {
    Ok(Config {
        max_request_bytes: flags.max_request_bytes,
        max_txn_ops: flags.max_txn_ops,
        quota_bytes: flags.quota(),
        auto_compaction: flags.auto_compaction()?,
        ..Config::default()
    })
}

pub(crate) fn server_config(flags: &Flags) -> ServerConfig {
    ServerConfig {
        member: Member {
            name: flags.name.clone(),
            client_urls: flags.advertised(),
            peer_urls: flags.initial_advertise_peer_urls.clone(),
        },
        max_txn_ops: flags.max_txn_ops,
        quota_bytes: flags.quota(),
        bcrypt_cost: flags.bcrypt_cost,
        ..ServerConfig::default()
    }
}

pub(crate) async fn serve_clients(
    server: EtcdServer,
    listeners: Vec<Listener>,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let mut serving = JoinSet::new();
    for (listener, tls) in listeners {
        let (server, shutdown) = (server.clone(), shutdown.clone());
        serving.spawn(async move {
            match tls {
                Some(tls) => server.serve_tls(listener, tls, shutdown).await,
                None => server.serve(listener, shutdown).await,
            }
        });
    }
    while let Some(ended) = serving.join_next().await {
        ended??;
    }
    Ok(())
}

pub(crate) type Listener = (TcpListener, Option<tls::Current>);

/// Binds every address before anything else happens, so that a taken one is told at once.
pub(crate) async fn listeners(
    urls: &[String],
    tls: impl Fn(CancellationToken) -> Result<tls::Current, Failure>,
    shutdown: &CancellationToken,
) -> Result<Vec<Listener>, Failure> {
    let mut listeners = Vec::new();
    let mut current = None;
    for url in urls {
        let (scheme, address) = flags::address(url)?;
        let listener = TcpListener::bind(address).await.map_err(|error| format!("{url}: {error}"))?;
        if scheme == flags::Scheme::Https && current.is_none() {
            current = Some(tls(shutdown.clone())?);
        }
        listeners.push((listener, current.clone().filter(|_| scheme == flags::Scheme::Https)));
    }
    Ok(listeners)
}
