//! The controllers as a process of their own, against any Kubernetes API server.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use examples::{Allocator, client, roles};
use kube_ctrl::{Config, ControllerManager};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Moves a cluster from what it is to what its objects say.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// The kubeconfig to reach the API server with.
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// Work only while holding the lease kube-system/kube-controller-manager.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    leader_elect: bool,
    /// The controllers to run; `*` is all of them, `-NAME` leaves one out.
    #[arg(long, default_value = "*", value_delimiter = ',', value_name = "NAMES")]
    controllers: Vec<String>,
    /// Address range of pods; each node gets a part of it.
    #[arg(long, default_value = "10.244.0.0/16", value_name = "CIDR")]
    cluster_cidr: String,
    /// Prefix length of a node's part.
    #[arg(long, default_value_t = 24, value_name = "BITS")]
    node_cidr_mask_size: u8,
    /// The authority that pods find in the config map kube-root-ca.crt.
    #[arg(long, value_name = "FILE")]
    root_ca_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    roles::main(|shutdown| async move {
        let client = client::from_kubeconfig(&flags.kubeconfig).await?;
        let root_ca = flags.root_ca_file.map(std::fs::read_to_string).transpose()?.unwrap_or_default();
        let config = Config {
            controllers: flags.controllers,
            cluster_cidr: flags.cluster_cidr,
            node_cidr_mask: flags.node_cidr_mask_size,
            root_ca,
            ..Config::default()
        };
        let manager = ControllerManager::new(client.clone(), config);
        roles::lead(client, "kube-controller-manager", flags.leader_elect, shutdown, |token| async {
            Ok(manager.run(token).await?)
        })
        .await
    })
}
