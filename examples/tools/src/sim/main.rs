//! Seeded simulations: the same seed is the same run.
#![expect(clippy::print_stdout, reason = "a command-line tool")]

mod runs;

use std::ops::Range;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
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
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (first, end) = text.split_once("..").ok_or("expected FIRST..END")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
    Ok(number(first)?..number(end)?)
}

fn main() -> ExitCode {
    let What::Store { seeds, steps, replicated, members, lease_reads, interrupt_snapshots } =
        Flags::parse().what;
    let settings = Settings { members, lease_reads, interrupt_snapshots, ..Settings::default() };
    let (count, mut failed) = (seeds.end.saturating_sub(seeds.start), 0);
    for seed in seeds {
        let outcome = if replicated { runs::replicated(seed, &settings) } else { runs::store(seed, steps) };
        if let Err(violation) = outcome {
            failed += 1;
            println!("seed {seed}: {violation}");
        }
    }
    println!("{count} runs, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
