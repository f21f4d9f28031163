//! The API server as a process of its own.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use examples::{Allocator, Failure, machine, roles};
use ipnet::IpNet;
use kube_api::node::TlsConnector;
use kube_api::pki::Identity;
use kube_api::serve::{ServeConfig, serve, tls_config};
use kube_api::{ApiServer, Config};
use kube_store::{EtcdStore, MemoryStore, Store};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Serves the Kubernetes API. Certificates are made by `cluster`, `kubeadm` or any other tool.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// The etcd server (or kube-store) that keeps the objects; without one they are kept in memory.
    #[arg(long, value_delimiter = ',', value_name = "URLS")]
    etcd_servers: Vec<String>,
    /// The TCP port to serve on.
    #[arg(long, default_value_t = 6443, value_name = "PORT")]
    secure_port: u16,
    /// The address to serve on.
    #[arg(long, default_value = "0.0.0.0", value_name = "IP")]
    bind_address: IpAddr,
    /// The address that others reach this server at [default: the one packets to the outside carry].
    #[arg(long, value_name = "IP")]
    advertise_address: Option<IpAddr>,
    /// The serving certificate, PEM.
    #[arg(long, value_name = "FILE")]
    tls_cert_file: PathBuf,
    /// Its private key, PKCS#8 PEM.
    #[arg(long, value_name = "FILE")]
    tls_private_key_file: PathBuf,
    /// The authority of client certificates, PEM.
    #[arg(long, value_name = "FILE")]
    client_ca_file: PathBuf,
    /// The P-256 key that signs service account tokens, PKCS#8 PEM.
    #[arg(long, value_name = "FILE")]
    service_account_signing_key_file: Option<PathBuf>,
    /// The issuer that service account tokens name.
    #[arg(long, default_value = "https://kubernetes.default.svc.cluster.local", value_name = "URL")]
    service_account_issuer: String,
    /// Address range of Services.
    #[arg(long, default_value = "10.96.0.0/12", value_name = "CIDR")]
    service_cluster_ip_range: IpNet,
    /// The certificate shown to node agents, PEM.
    #[arg(long, requires = "kubelet_client_key", value_name = "FILE")]
    kubelet_client_certificate: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "FILE")]
    kubelet_client_key: Option<PathBuf>,
    /// The authority of node agents [default: --client-ca-file].
    #[arg(long, value_name = "FILE")]
    kubelet_certificate_authority: Option<PathBuf>,
}

fn read(path: &PathBuf) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

impl Flags {
    fn config(&self) -> Result<Config, Failure> {
        Ok(Config {
            service_cidr: self.service_cluster_ip_range,
            advertise_address: self.advertise_address.unwrap_or_else(machine::node_ip),
            advertise_port: self.secure_port,
            issuer: self.service_account_issuer.clone(),
            audiences: vec![self.service_account_issuer.clone()],
            service_account_key: self.service_account_signing_key_file.as_ref().map(read).transpose()?,
            ..Config::default()
        })
    }

    async fn store(&self) -> Result<Arc<dyn Store>, Failure> {
        Ok(match self.etcd_servers.first() {
            Some(url) => Arc::new(EtcdStore::connect(url.clone()).await?),
            None => Arc::new(MemoryStore::new()),
        })
    }

    fn nodes(&self) -> Result<Option<TlsConnector>, Failure> {
        let Some((cert, key)) =
            self.kubelet_client_certificate.as_ref().zip(self.kubelet_client_key.as_ref())
        else {
            return Ok(None);
        };
        let ca = read(self.kubelet_certificate_authority.as_ref().unwrap_or(&self.client_ca_file))?;
        Ok(Some(TlsConnector::new(&Identity { cert_pem: read(cert)?, key_pem: read(key)? }, &ca)?))
    }
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    roles::main(|shutdown| async move {
        let mut builder = ApiServer::builder(flags.store().await?).config(flags.config()?);
        if let Some(nodes) = flags.nodes()? {
            builder = builder.node_connector(Arc::new(nodes));
        }
        let api = builder.build().await?;
        let identity =
            Identity { cert_pem: read(&flags.tls_cert_file)?, key_pem: read(&flags.tls_private_key_file)? };
        let tls = tls_config(&identity, &read(&flags.client_ca_file)?)?;
        let listener = TcpListener::bind((flags.bind_address, flags.secure_port)).await?;
        serve(listener, tls, api, ServeConfig::default(), shutdown).await;
        Ok(())
    })
}
