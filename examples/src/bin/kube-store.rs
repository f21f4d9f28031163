//! The store as an etcd-compatible server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use examples::{Failure, roles};
use kube_store::{Config, EmbeddedStore, EtcdServer, Member, MemoryStore, Store};
use tokio::net::TcpListener;

/// Serves etcd's v3 API: etcdctl and kube-apiserver use it as they use etcd. Without TLS for now: keep it on loopback.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// This member's name.
    #[arg(long, default_value = "default")]
    name: String,
    /// Folder of the data.
    #[arg(long, default_value = "default.etcd", value_name = "DIR")]
    data_dir: PathBuf,
    /// Where to listen, as a URL with an address.
    #[arg(long, default_value = "http://127.0.0.1:2379", value_name = "URL")]
    listen_client_urls: String,
    /// Where clients reach this server [default: --listen-client-urls].
    #[arg(long, value_name = "URL")]
    advertise_client_urls: Option<String>,
    /// What keeps the data.
    #[arg(long, value_enum, default_value = "embedded")]
    engine: Engine,
    /// The largest request, in bytes.
    #[arg(long, default_value_t = 4 << 20, value_name = "BYTES")]
    max_request_bytes: usize,
    /// Writes are refused when the data takes more than this, in bytes.
    #[arg(long, default_value_t = 8 << 30, value_name = "BYTES")]
    quota_backend_bytes: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    /// On disk, each write synced.
    Embedded,
    /// In memory: gone with the process.
    Memory,
}

async fn open(flags: &Flags) -> Result<Arc<dyn Store>, Failure> {
    let config = Config {
        max_request_bytes: flags.max_request_bytes,
        quota_bytes: flags.quota_backend_bytes,
        ..Config::default()
    };
    Ok(match flags.engine {
        Engine::Embedded => Arc::new(EmbeddedStore::open(&flags.data_dir, config).await?),
        Engine::Memory => Arc::new(MemoryStore::with_config(config)?),
    })
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    roles::main(|shutdown| async move {
        let url = flags.listen_client_urls.clone();
        let address =
            url.strip_prefix("http://").ok_or("--listen-client-urls: expected http://ADDRESS:PORT")?;
        let listener =
            TcpListener::bind(address.trim_end_matches('/')).await.map_err(|e| format!("{url}: {e}"))?;
        let client_urls = vec![flags.advertise_client_urls.clone().unwrap_or(url)];
        let member = Member { name: flags.name.clone(), client_urls, ..Member::default() };
        Ok(EtcdServer::new(open(&flags).await?, member).serve(listener, shutdown).await?)
    })
}
