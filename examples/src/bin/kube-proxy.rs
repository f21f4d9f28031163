//! The service proxy as a process of its own, against any Kubernetes API server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use examples::{Allocator, Failure, client, machine, roles};
use ipnet::IpNet;
use kube_netproxy::{Config, Dataplane, Nftables, Proxy, Userspace, UserspaceConfig};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Carries traffic for Services to their endpoints.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// The kubeconfig to reach the API server with.
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// How traffic is carried.
    #[arg(long, value_enum, default_value = "nftables")]
    proxy_mode: Mode,
    /// Address ranges of pods: traffic to Services from elsewhere is masqueraded.
    #[arg(long, value_delimiter = ',', value_name = "CIDRS")]
    cluster_cidr: Vec<IpNet>,
    /// This node's name [default: the host name].
    #[arg(long, value_name = "NAME")]
    hostname_override: Option<String>,
    /// Remove the rules of an earlier run and end.
    #[arg(long)]
    cleanup: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// In the kernel.
    Nftables,
    /// Through this process; needs no privileges.
    Userspace,
}

fn dataplane(mode: Mode, config: &Config) -> Result<Arc<dyn Dataplane>, Failure> {
    Ok(match mode {
        Mode::Nftables => Arc::new(Nftables::new(config.clone())?),
        Mode::Userspace => Arc::new(Userspace::new(UserspaceConfig::default())),
    })
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    roles::main(|shutdown| async move {
        let node_name = flags.hostname_override.unwrap_or_else(machine::host_name);
        let config = Config { node_name, cluster_cidrs: flags.cluster_cidr, ..Config::default() };
        let dataplane = dataplane(flags.proxy_mode, &config)?;
        if flags.cleanup {
            return Ok(dataplane.cleanup().await?);
        }
        let client = client::from_kubeconfig(&flags.kubeconfig).await?;
        Ok(Proxy::new(client, dataplane, config).run(shutdown).await?)
    })
}
