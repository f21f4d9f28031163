//! The scheduler as a process of its own, against any Kubernetes API server.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use examples::{client, roles};
use kube_sched::{Config, Scheduler};

/// Assigns pods to nodes.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// The kubeconfig to reach the API server with.
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// Work only while holding the lease kube-system/kube-scheduler.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    leader_elect: bool,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    roles::main(|shutdown| async move {
        let client = client::from_kubeconfig(&flags.kubeconfig).await?;
        let scheduler = Scheduler::new(client.clone(), Config::default())?;
        roles::lead(client, "kube-scheduler", flags.leader_elect, shutdown, |token| async {
            scheduler.run(token).await;
            Ok(())
        })
        .await
    })
}
