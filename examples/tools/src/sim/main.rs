//! Seeded simulations: the same seed is the same run.
#![expect(clippy::print_stdout, reason = "a command-line tool")]

mod runs;
mod sched;

use std::ops::Range;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use examples::Failure;
use kube_store::testing::simulation::Settings;

/// Runs simulations and says which seeds fail.
#[derive(Parser)]
#[command(version)]
struct Flags {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Clients that write, a store that compacts, a watcher that must be able to tell the state from what it sees.
    Store {
        /// The seeds, as FIRST..END.
        #[arg(long, default_value = "0..100", value_parser = seeds, value_name = "RANGE")]
        seeds: Range<u64>,
        /// Steps of each run.
        #[arg(long, default_value_t = 500, value_name = "N")]
        steps: usize,
        /// Simulate a group of members under faults instead of one store.
        #[arg(long)]
        replicated: bool,
        /// Members of the group at the beginning.
        #[arg(long, default_value_t = 3, value_name = "N", requires = "replicated")]
        members: u64,
        /// Leaders of the group answer reads alone for a while.
        #[arg(long, requires = "replicated")]
        lease_reads: bool,
        /// Members of the group often crash while they put a snapshot in place.
        #[arg(long, requires = "replicated")]
        interrupt_snapshots: bool,
    },
    /// Our kube-scheduler beside a stock one, decision by decision, on small random clusters.
    SchedPeer(sched::Flags),
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (first, end) = text.split_once("..").ok_or("expected FIRST..END")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
    Ok(number(first)?..number(end)?)
}

fn main() -> ExitCode {
    let held = match Flags::parse().what {
        What::Store { seeds, steps, replicated, members, lease_reads, interrupt_snapshots } => {
            let settings = Settings { members, lease_reads, interrupt_snapshots, ..Settings::default() };
            store(seeds, |seed| {
                if replicated { runs::replicated(seed, &settings) } else { runs::store(seed, steps) }
            })
        }
        What::SchedPeer(flags) => sched::run(&flags).unwrap_or_else(|error| {
            println!("{error}");
            false
        }),
    };
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says which seeds fail, and whether none does.
fn store(seeds: Range<u64>, run: impl Fn(u64) -> Result<(), Failure>) -> bool {
    let (count, mut failed) = (seeds.end.saturating_sub(seeds.start), 0);
    for seed in seeds {
        if let Err(violation) = run(seed) {
            failed += 1;
            println!("seed {seed}: {violation}");
        }
    }
    println!("{count} runs, {failed} failed");
    failed == 0
}
