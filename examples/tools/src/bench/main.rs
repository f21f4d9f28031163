//! Benchmarks: our part beside the stock one where its binaries are given, in one process tree; one line per figure.
#![expect(clippy::print_stdout, reason = "a command-line tool")]

mod api;
mod cluster;
mod figures;
mod memory;
mod sched;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use examples::{Failure, roles};

use figures::{Figure, per_second};

/// Runs a workload and prints name, ours, peer and ratio of each figure, separated by tabs. Figures are per second
/// unless their name ends in a unit. Of the store's, the ratio says how much better ours is, with its 95 % interval.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// Folder of the stock part's binaries (etcd, kube-scheduler); without it only our part runs.
    #[arg(long, global = true, value_name = "DIR")]
    peer_bin: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// kube-store beside etcd.
    Store(store::Options),
    /// The API server in this process.
    Api,
    /// The scheduler on 5,000 hollow nodes: decisions, and pods bound through our API server; with a peer, ours and the stock one as
    /// processes.
    Sched {
        /// Only this shape: basic, affinity, anti-affinity, ns-anti-affinity, spread or preemption.
        shape: Option<String>,
    },
    /// The whole cluster: starts, memory and 100 pods; needs root.
    Cluster,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    roles::main(|_| async move {
        let figures = match flags.what {
            What::Store(options) => {
                let figures = store::run(flags.peer_bin.as_deref(), options).await?;
                figures.iter().for_each(|figure| println!("{figure}"));
                return Ok(());
            }
            What::Api => api::run().await?,
            What::Sched { shape } => sched::run(flags.peer_bin.as_deref(), shape.as_deref()).await?,
            What::Cluster => cluster::run().await?,
        };
        figures.iter().for_each(|figure| println!("{figure}"));
        Ok(())
    })
}
