//! Acknowledged, synced puts of small values through the whole store, by engine and number of clients.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails has nothing better to do")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kube_store::engine::{Batch, Engine, LogEngine, Visit};
use kube_store::{Config, EmbeddedStore, StoreExt};
use tokio::runtime::Runtime;

/// The floor: appends each batch to a file and syncs, and could not be opened again.
#[derive(Debug)]
struct AppendOnly(std::fs::File);

impl AppendOnly {
    fn open(dir: &Path) -> std::io::Result<Self> {
        std::fs::File::create(dir.join("log")).map(Self)
    }
}

impl Engine for AppendOnly {
    fn scan(&self, _: &[u8], _: &mut Visit<'_>) -> std::io::Result<()> {
        Ok(())
    }

    fn commit(&mut self, batch: &Batch) -> std::io::Result<()> {
        use std::io::Write;
        let bytes: Vec<u8> =
            batch.iter().flat_map(|(key, value)| [key, value.unwrap_or_default()].concat()).collect();
        self.0.write_all(&bytes)?;
        self.0.sync_data()
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}

/// Puts `total` values of 256 bytes from `clients` tasks; answers the time it took.
async fn puts(store: &Arc<EmbeddedStore>, clients: u64, total: u64) -> Duration {
    let start = tokio::time::Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in (client..total).step_by(clients as usize) {
                    store.put(format!("/bench/{:06}", n % 100_000), vec![n as u8; 256]).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    start.elapsed()
}

fn engine<E: Engine>(c: &mut Criterion, name: &str, open: impl Fn(&Path) -> std::io::Result<E>) {
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(1)).sample_size(10);
    for clients in [1u64, 64] {
        let dir = tempfile::tempdir_in(".").unwrap();
        let store = runtime
            .block_on(EmbeddedStore::with_engine(open(dir.path()).unwrap(), Config::default()))
            .map(Arc::new)
            .unwrap();
        group.bench_function(BenchmarkId::new("put", clients), |b| {
            b.to_async(&runtime).iter_custom(|total| {
                let store = store.clone();
                async move { puts(&store, clients, total).await }
            });
        });
    }
    group.finish();
}

fn engines(c: &mut Criterion) {
    engine(c, "append-only", AppendOnly::open);
    engine(c, "log", LogEngine::open);
}

/// Opening an empty store, and closing it.
fn open(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    c.bench_function("open an empty directory", |b| {
        b.to_async(&runtime).iter_batched(
            || tempfile::tempdir_in(".").unwrap(),
            async |dir| (EmbeddedStore::open(dir.path(), Config::default()).await.unwrap(), dir),
            criterion::BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, engines, open);
criterion_main!(benches);
