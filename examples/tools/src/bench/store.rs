//! `kube-store` beside etcd: what the plan of benchmarks names of a store.

mod client;
mod compare;
pub(crate) mod machine;
mod programs;
mod range;
mod starts;
mod syncs;
mod txns;
mod watches;
mod wire;

use std::path::Path;

use self::compare::{Compared, Workload};
use self::programs::Program;
use crate::Failure;

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this figure, and those that come with it.
    #[arg(long, value_name = "NAME")]
    figure: Option<String>,
    /// Pairs of runs, one of each side; one more is run first and not counted.
    #[arg(long, default_value_t = 6, value_name = "N")]
    pairs: usize,
    /// Where to write the results with all samples.
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
}

/// Runs every workload, or the one of a figure, against the `kube-store` beside this binary and the `etcd` in `peer_bin`.
///
/// Servers run on processor 0 and the load on processor 1; their memory is the whole machine's. Both start with an empty folder
/// and stay up while samples are taken in turn, ours first in every other pair. Every answer and event is checked.
///
/// # Errors
/// If a server can't be started, stops answering or answers something wrong.
pub(crate) async fn run(peer_bin: Option<&Path>, options: Options) -> Result<Vec<Compared>, Failure> {
    let mut programs = vec![Program::ours(std::env::current_exe()?.with_file_name("kube-store"))];
    programs.extend(peer_bin.map(|dir| Program::etcd(dir.join("etcd"))));
    let load = std::thread::Builder::new().name("load".into()).spawn(move || {
        machine::pin(machine::LOAD)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(all(&programs, &options))
    })?;
    tokio::task::spawn_blocking(move || load.join().map_err(|_| "the load panicked")?).await?
}

async fn all(programs: &[Program], options: &Options) -> Result<Vec<Compared>, Failure> {
    let before = machine::Conditions::now()?;
    let mut run = Run { programs, options, done: Vec::new() };
    run.add(txns::Txns { name: "txn-300", members: 1 }).await?;
    run.add(txns::Puts { name: "put-1", clients: 1, count: 3_000 }).await?;
    run.add(txns::Puts { name: "put-64", clients: 64, count: 16_000 }).await?;
    run.add(range::Paged).await?;
    run.add(watches::Watches).await?;
    run.add(txns::Txns { name: "raft3-txn-300", members: 3 }).await?;
    run.add(syncs::Syncs).await?;
    run.add(starts::Empty).await?;
    run.add(starts::Full).await?;
    let done = run.done;
    if done.is_empty() {
        return Err("there is no figure of that name".into());
    }
    if let Some(file) = &options.json {
        let report = machine::report(&before, programs, &done)?;
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(done)
}

/// The workloads that were run so far.
struct Run<'a> {
    programs: &'a [Program],
    options: &'a Options,
    done: Vec<Compared>,
}

impl Run<'_> {
    /// Runs a workload if one of its figures is asked for.
    async fn add<W: Workload>(&mut self, workload: W) -> Result<(), Failure> {
        let names: Vec<_> = workload.figures().into_iter().map(|(name, _)| name).collect();
        if self.options.figure.as_ref().is_some_and(|wanted| !names.contains(wanted)) {
            return Ok(());
        }
        self.done.extend(compare::run(&workload, self.programs, self.options.pairs).await?);
        Ok(())
    }
}
