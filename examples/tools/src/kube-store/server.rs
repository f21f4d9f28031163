//! What the `kube-store` binary serves: the store that the settings name, on the listeners that they name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube_store::engine::{Engine, LogEngine, Measured};
use kube_store::{
    Config, EmbeddedStore, EtcdServer, JsonWebTokens, Keepalive, Member, MemoryStore, ServerConfig,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::flags::{Engine as EngineKind, Settings, TokenFlags};
use crate::listen::{Listener, listen};
use crate::{Failure, group, tls};

/// What etcd has in its data folder.
const ETCDS: [&str; 2] = ["member/wal", "member/snap/db"];

/// Where a server listens for its clients, and where for those of its pages alone.
pub(crate) struct Listeners {
    clients: Vec<Listener>,
    pages: Vec<Listener>,
}

/// Serves until `shutdown`.
///
/// # Errors
/// Those of the store and of the listeners.
pub(crate) async fn serve(settings: Settings, shutdown: CancellationToken) -> Result<(), Failure> {
    settings.make_certificates((ServerConfig::default().clock)())?;
    let tls = |stop| {
        let files = settings.client_tls()?.ok_or(
            "TLS key/cert (--cert-file, --key-file) must be provided for a client url with HTTPS scheme",
        )?;
        tls::watch_server(files, stop)
    };
    let listeners = Listeners {
        clients: listen(&settings, &settings.listen_client_urls, tls, &shutdown)?,
        pages: listen(&settings, &settings.listen_metrics_urls, tls, &shutdown)?,
    };
    match settings.engine {
        EngineKind::Embedded => serve_on(settings, LogEngine::open, listeners, shutdown).await,
        #[cfg(feature = "rocksdb")]
        EngineKind::Rocksdb => {
            serve_on(settings, kube_store::engine::RocksDbEngine::open, listeners, shutdown).await
        }
        EngineKind::Memory if settings.in_group() => {
            Err("--engine memory: a member of a group needs a disk".into())
        }
        EngineKind::Memory => {
            let store = Arc::new(MemoryStore::with_config(config(&settings)?)?);
            let server = EtcdServer::with_config(store, server_config(&settings)?);
            serve_clients(server, listeners, shutdown).await
        }
    }
}

/// Serves what an engine in the data folder holds: a member of a group, or a store that is alone.
async fn serve_on<E: Engine>(
    settings: Settings,
    open: fn(&Path) -> std::io::Result<E>,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let dir = settings.data_dir();
    let named = dir.display().to_string();
    // Serving none of the keys that are in there would be worse than serving nothing.
    if ETCDS.iter().any(|path| dir.join(path).exists()) {
        return Err(format!(
            "{named} is a folder of etcd's: save a snapshot of it, and fill another one by `kube-store snapshot restore`"
        )
        .into());
    }
    let opened = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&dir)?;
        open(&dir)
    });
    let engine = Measured::new(opened.await?.map_err(|error| format!("{named}: {error}"))?);
    if settings.in_group() || kube_store::raft::RaftStore::identity(&engine)?.is_some() {
        return group::serve(settings, engine, listeners, shutdown).await;
    }
    let disk = Some(engine.metrics());
    let store = Arc::new(EmbeddedStore::with_engine(engine, config(&settings)?).await?);
    let config = ServerConfig { disk, ..server_config(&settings)? };
    serve_clients(EtcdServer::with_config(store, config), listeners, shutdown).await
}

/// How often what is left of leases is noted, where it is, as etcd.
const LEASE_CHECKPOINTS: Duration = Duration::from_secs(300);

pub(crate) fn config(settings: &Settings) -> Result<Config, Failure> {
    Ok(Config {
        max_request_bytes: settings.max_request_bytes,
        max_txn_ops: settings.max_txn_ops,
        quota_bytes: settings.quota(),
        auto_compaction: settings.auto_compaction()?,
        progress_interval: settings.watch_progress_notify_interval,
        lease_checkpoints: settings.lease_checkpoints.then_some(LEASE_CHECKPOINTS),
        ..Config::default()
    })
}

/// What signs tokens, if they are JSON Web Tokens.
fn json_web_tokens(flags: &TokenFlags) -> Result<Arc<JsonWebTokens>, Failure> {
    let TokenFlags { method, ttl, unknown, .. } = flags;
    if !unknown.is_empty() {
        tracing::warn!(keys = ?unknown, "unknown JWT options");
    }
    let read = |file: &PathBuf| std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()));
    let private = flags.private_key.as_ref().map(read).transpose()?;
    let public = flags.public_key.as_ref().map(read).transpose()?;
    Ok(Arc::new(JsonWebTokens::new(method, private.as_deref(), public.as_deref(), *ttl)?))
}

pub(crate) fn server_config(settings: &Settings) -> Result<ServerConfig, Failure> {
    let (idle, timeout) = (settings.grpc_keepalive_interval, settings.grpc_keepalive_timeout);
    Ok(ServerConfig {
        member: Member {
            name: settings.name.clone(),
            client_urls: settings.advertised(),
            peer_urls: settings.initial_advertise_peer_urls.clone(),
        },
        max_txn_ops: settings.max_txn_ops,
        max_request_bytes: settings.max_request_bytes,
        quota_bytes: settings.quota(),
        bcrypt_cost: settings.bcrypt_cost,
        token_ttl: Duration::from_secs(settings.auth_token_ttl),
        json_web_tokens: settings.json_web_tokens.as_ref().map(json_web_tokens).transpose()?,
        client_cert_auth: settings.client_tls.asks_clients,
        slow: settings.warning_apply_duration,
        extensive_metrics: settings.extensive_metrics,
        json_gateway: settings.json_gateway,
        keepalive: (!idle.is_zero() && !timeout.is_zero()).then_some(Keepalive { idle, timeout }),
        ..ServerConfig::default()
    })
}

pub(crate) async fn serve_clients(
    server: EtcdServer,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let mut serving = JoinSet::new();
    let mut files = Vec::new();
    for Listener { listener, tls, file } in listeners.clients {
        files.extend(file);
        let (server, shutdown) = (server.clone(), shutdown.clone());
        serving.spawn(async move {
            match tls {
                Some(tls) => server.serve_tls(listener, tls, shutdown).await,
                None => server.serve(listener, shutdown).await,
            }
        });
    }
    for Listener { listener, tls, file } in listeners.pages {
        files.extend(file);
        serving.spawn(server.clone().serve_pages(listener, tls, shutdown.clone()));
    }
    while let Some(ended) = serving.join_next().await {
        ended??;
    }
    Ok(())
}
