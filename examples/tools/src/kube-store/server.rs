//! The `kube-store` binary: etcd's flags, its listeners, and snapshots into an empty folder.

use std::sync::Arc;

use kube_store::{
    Config, EmbeddedStore, EtcdServer, Member, MemoryStore, ServerConfig, SnapshotCheck, Store,
};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::flags::{self, Arguments, Command, Engine, Flags, Snapshot};
use crate::{Failure, tls};

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
    flags.check()?;
    let listeners = listeners(&flags, &shutdown).await?;
    let config = Config {
        max_request_bytes: flags.max_request_bytes,
        max_txn_ops: flags.max_txn_ops,
        quota_bytes: flags.quota(),
        auto_compaction: flags.auto_compaction()?,
        ..Config::default()
    };
    let server = ServerConfig {
        member: Member {
            name: flags.name.clone(),
            client_urls: flags.advertised(),
            peer_urls: flags.initial_advertise_peer_urls.clone(),
        },
        max_txn_ops: flags.max_txn_ops,
        quota_bytes: flags.quota(),
        bcrypt_cost: flags.bcrypt_cost,
    };
    let server = EtcdServer::with_config(open(&flags, config).await?, server);
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

type Listener = (TcpListener, Option<tls::Current>);

/// Binds every address before anything else happens, so that a taken one is told at once.
async fn listeners(flags: &Flags, shutdown: &CancellationToken) -> Result<Vec<Listener>, Failure> {
    let mut listeners = Vec::new();
    let mut current = None;
    for url in &flags.listen_client_urls {
        let (scheme, address) = flags::address(url)?;
        let listener = TcpListener::bind(address).await.map_err(|error| format!("{url}: {error}"))?;
        if scheme == flags::Scheme::Https && current.is_none() {
            current = Some(tls::watch(flags.tls_files()?, shutdown.clone())?);
        }
        listeners.push((listener, current.clone().filter(|_| scheme == flags::Scheme::Https)));
    }
    Ok(listeners)
}

async fn open(flags: &Flags, config: Config) -> Result<Arc<dyn Store>, Failure> {
    Ok(match flags.engine {
        Engine::Embedded => Arc::new(EmbeddedStore::open(&flags.data_dir, config).await?),
        #[cfg(feature = "rocksdb")]
        Engine::Rocksdb => Arc::new(EmbeddedStore::open_rocksdb(&flags.data_dir, config).await?),
        Engine::Memory => Arc::new(MemoryStore::with_config(config)?),
    })
}
