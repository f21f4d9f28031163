//! The node agent as a process of its own, against any Kubernetes API server.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use examples::node_role::{open_embedded, serve_kubelet};
use examples::{Allocator, Failure, client, demo, machine, roles};
use ipnet::IpNet;
use kube_api::pki::Identity;
use kube_node::adapter::cri::CriRuntime;
use kube_node::runtime::fake::FakeRuntime;
use kube_node::seam::Runtime;
use kube_node::{Agent, Clock, Config, EvictionHard, Files};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Runs the pods of one node.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// The kubeconfig to reach the API server with.
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// This node's name [default: the host name].
    #[arg(long, value_name = "NAME")]
    hostname_override: Option<String>,
    /// This node's address [default: the one packets to the outside carry].
    #[arg(long, value_name = "IP")]
    node_ip: Option<IpAddr>,
    /// Folder of pods, containers and images.
    #[arg(long, default_value = "/var/lib/kubelet", value_parser = machine::absolute, value_name = "DIR")]
    root_dir: PathBuf,
    /// The CRI runtime to use, as unix:///PATH [default: the embedded runtime].
    #[arg(long, value_name = "URL")]
    container_runtime_endpoint: Option<String>,
    /// Simulate containers instead of running them.
    #[arg(long)]
    fake_runtime: bool,
    /// Address ranges of the cluster's pods, which reach each other under their own addresses.
    #[arg(long, value_delimiter = ',', value_name = "CIDRS")]
    cluster_cidr: Vec<IpNet>,
    /// Addresses of the cluster's DNS.
    #[arg(long, value_delimiter = ',', value_name = "IPS")]
    cluster_dns: Vec<IpAddr>,
    /// The cluster's domain.
    #[arg(long, default_value = "cluster.local", value_name = "DOMAIN")]
    cluster_domain: String,
    /// The TCP port of logs and exec.
    #[arg(long, default_value_t = 10250, value_name = "PORT")]
    port: u16,
    /// Below what the node reports pressure and takes no more pods, as memory.available<100Mi,nodefs.available<10%.
    #[arg(long, value_name = "SIGNAL<VALUE,...>")]
    eviction_hard: Option<EvictionHard>,
    /// A folder of pods (one a file, YAML or JSON) that run here whatever the API server says.
    #[arg(long, value_name = "PATH")]
    pod_manifest_path: Option<PathBuf>,
    /// A container's log is rotated at this size, in bytes.
    #[arg(long, default_value_t = 10 << 20, value_name = "BYTES")]
    container_log_max_size: u64,
    /// So many files of a container's log are kept.
    #[arg(long, default_value_t = 5, value_name = "NUMBER")]
    container_log_max_files: u32,
    /// Unused images are removed once the disk is so full, in percent; 100 for never.
    #[arg(long, default_value_t = 85, value_name = "PERCENT")]
    image_gc_high_threshold: u8,
    /// Until it is only so full, in percent.
    #[arg(long, default_value_t = 80, value_name = "PERCENT")]
    image_gc_low_threshold: u8,
    /// The serving certificate, PEM.
    #[arg(long, value_name = "FILE")]
    tls_cert_file: PathBuf,
    /// Its private key, PKCS#8 PEM.
    #[arg(long, value_name = "FILE")]
    tls_private_key_file: PathBuf,
    /// The authority of clients, PEM.
    #[arg(long, value_name = "FILE")]
    client_ca_file: PathBuf,
}

impl Flags {
    fn config(&self) -> Config {
        Config {
            node_name: self.hostname_override.clone().unwrap_or_else(machine::host_name),
            node_ips: vec![self.node_ip.unwrap_or_else(machine::node_ip)],
            root_dir: self.root_dir.clone(),
            log_dir: self.root_dir.join("logs"),
            cluster_dns: self.cluster_dns.clone(),
            cluster_domain: self.cluster_domain.clone(),
            kubelet_port: self.port,
            eviction_hard: self.eviction_hard.unwrap_or_default(),
            static_pod_path: self.pod_manifest_path.clone(),
            container_log_max_size: self.container_log_max_size,
            container_log_max_files: self.container_log_max_files,
            image_gc_high_percent: self.image_gc_high_threshold,
            image_gc_low_percent: self.image_gc_low_threshold,
            files: if self.fake_runtime { Files::Skip } else { Files::Write },
            ..Config::default()
        }
    }

    async fn runtime(&self) -> Result<Arc<dyn Runtime>, Failure> {
        Ok(match &self.container_runtime_endpoint {
            _ if self.fake_runtime => Arc::new(FakeRuntime::new(Clock::system(), Vec::new())),
            Some(url) => Arc::new(CriRuntime::connect(url.strip_prefix("unix://").unwrap_or(url)).await?),
            None => Arc::new(open_embedded(&self.root_dir, &self.cluster_cidr).await?),
        })
    }
}

fn main() -> ExitCode {
    // This executable is also the supervisor of each pod.
    kube_node::shim::maybe_run();
    demo::maybe_run();
    let flags = Flags::parse();
    roles::main(|shutdown| async move {
        let client = client::from_kubeconfig(&flags.kubeconfig).await?;
        let runtime = flags.runtime().await?;
        let identity = Identity {
            cert_pem: std::fs::read_to_string(&flags.tls_cert_file)?,
            key_pem: std::fs::read_to_string(&flags.tls_private_key_file)?,
        };
        let ca = std::fs::read_to_string(&flags.client_ca_file)?;
        let server = serve_kubelet(runtime.clone(), &identity, &ca, flags.port, shutdown.clone()).await?;
        let agent = Agent::new(client, runtime, Vec::new(), Clock::system(), flags.config())?;
        tokio::join!(server, agent.run(shutdown));
        Ok(())
    })
}
