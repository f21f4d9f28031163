//! What is done with snapshots.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use kube_store::{EmbeddedStore, SnapshotCheck};

use crate::Failure;

/// Works on snapshots.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Works on snapshots.
    Snapshot {
        /// Which way.
        #[command(subcommand)]
        command: Snapshot,
    },
}

#[derive(Debug, Subcommand)]
enum Snapshot {
    /// Fills a new data folder from a snapshot of etcd's or ours (`etcdctl snapshot save`).
    Restore {
        /// The snapshot.
        file: PathBuf,
        /// The folder to fill.
        #[arg(long, default_value = "default.etcd", value_name = "DIR")]
        data_dir: PathBuf,
        /// Take a database file that has no checksum, or a wrong one.
        #[arg(long)]
        skip_hash_check: bool,
        /// What is to keep the data.
        #[arg(long, value_enum, default_value_t = Engine::Embedded)]
        engine: Engine,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Engine {
    Embedded,
    #[cfg(feature = "rocksdb")]
    Rocksdb,
}

/// Does what the command line says.
///
/// # Errors
/// Those of the snapshot and of the folder.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Part::Snapshot { command } = arguments.command;
    let Snapshot::Restore { file, data_dir, skip_hash_check, engine } = command;
    let check = if skip_hash_check { SnapshotCheck::Skipped } else { SnapshotCheck::Required };
    let revision = match engine {
        Engine::Embedded => EmbeddedStore::restore(&data_dir, &file, check).await?,
        #[cfg(feature = "rocksdb")]
        Engine::Rocksdb => EmbeddedStore::restore_rocksdb(&data_dir, &file, check).await?,
    };
    tracing::info!(revision, data_dir = %data_dir.display(), "restored the snapshot");
    Ok(())
}
