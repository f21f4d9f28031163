use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;
use ipnet::IpNet;

use crate::machine;

/// A whole Kubernetes cluster in one process.
///
/// As root it runs containers and programs the kernel's packet filter; otherwise it simulates containers and serves Services from user
/// space. Ctrl-C stops it and leaves the containers running; started again with the same --data-dir it adopts them.
#[derive(Parser, Clone, Debug)]
#[command(name = "cluster", version)]
pub struct Flags {
    /// Folder for all state: certificates, store, images, containers.
    #[arg(long, default_value_os_t = machine::default_data_dir(), value_parser = machine::absolute, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where to write the administrator's kubeconfig [default: DATA_DIR/admin.kubeconfig].
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// TCP port of the API server, on all addresses.
    #[arg(long, default_value_t = 6443, value_name = "PORT")]
    pub secure_port: u16,
    /// TCP port of the node agent (logs, exec), on all addresses.
    #[arg(long, default_value_t = 10250, value_name = "PORT")]
    pub kubelet_port: u16,
    /// Do not deploy the demo.
    #[arg(long)]
    pub no_demo: bool,
    /// Where the state goes: memory, embedded, rocksdb, or etcd=URL[,URL...].
    #[arg(long, default_value = "embedded", value_name = "STORE")]
    pub store: Store,
    /// What runs containers: embedded, cri=SOCKET, or fake [default: embedded as root, otherwise fake].
    #[arg(long, value_name = "RUNTIME")]
    pub runtime: Option<Runtime>,
    /// Number of simulated nodes beside the real one.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub nodes: usize,
    /// Address range of pods; each node gets a /24 of it.
    #[arg(long, default_value = "10.244.0.0/16", value_name = "CIDR")]
    pub cluster_cidr: IpNet,
    /// Address range of Services.
    #[arg(long, default_value = "10.96.0.0/12", value_name = "CIDR")]
    pub service_cidr: IpNet,
    /// This machine's address, as other machines reach it [default: the one packets to the outside carry].
    #[arg(long, value_name = "IP")]
    pub node_ip: Option<IpAddr>,
    /// Instead of starting: write the certificates and kubeconfigs that the roles as separate processes start with.
    #[arg(long)]
    pub certificates_only: bool,
    /// Instead of starting: stop and remove what an earlier run with this --data-dir, or in this CRI runtime, left running.
    #[arg(long)]
    pub clean: bool,
}

/// Where the API server keeps its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In memory: gone with the process.
    Memory,
    /// In the embedded engine below the data folder.
    Embedded,
    /// In RocksDB below the data folder.
    RocksDb,
    /// In an etcd cluster.
    Etcd(Vec<String>),
}

/// What runs containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// The built-in runtime.
    Embedded,
    /// A runtime that speaks CRI on this socket.
    Cri(PathBuf),
    /// None: containers are simulated.
    Fake,
}

impl FromStr for Store {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "memory" => Ok(Self::Memory),
            None if text == "embedded" => Ok(Self::Embedded),
            None if text == "rocksdb" => Ok(Self::RocksDb),
            Some(("etcd", urls)) if !urls.is_empty() => {
                Ok(Self::Etcd(urls.split(',').map(str::to_owned).collect()))
            }
            _ => Err("expected memory, embedded, rocksdb or etcd=URL".into()),
        }
    }
}

impl FromStr for Runtime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "embedded" => Ok(Self::Embedded),
            None if text == "fake" => Ok(Self::Fake),
            Some(("cri", socket)) if !socket.is_empty() => {
                Ok(Self::Cri(socket.strip_prefix("unix://").unwrap_or(socket).into()))
            }
            _ => Err("expected embedded, cri=SOCKET or fake".into()),
        }
    }
}

impl Flags {
    /// The runtime asked for, or the best this user can have.
    pub fn runtime(&self) -> Runtime {
        let possible = if machine::is_root() { Runtime::Embedded } else { Runtime::Fake };
        self.runtime.clone().unwrap_or(possible)
    }

    /// Where the administrator's kubeconfig goes.
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig.clone().unwrap_or_else(|| self.data_dir.join("admin.kubeconfig"))
    }

    /// This machine's address.
    pub fn node_ip(&self) -> IpAddr {
        self.node_ip.unwrap_or_else(machine::node_ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_and_runtimes_are_read() {
        assert_eq!("memory".parse(), Ok(Store::Memory));
        assert_eq!(
            "etcd=http://a:1,http://b:2".parse(),
            Ok(Store::Etcd(vec!["http://a:1".into(), "http://b:2".into()]))
        );
        assert_eq!("cri=unix:///run/c.sock".parse(), Ok(Runtime::Cri("/run/c.sock".into())));
        for wrong in ["", "etcd", "etcd=", "sqlite", "memory=1"] {
            assert!(wrong.parse::<Store>().is_err(), "{wrong}");
        }
        for wrong in ["docker", "cri", "cri=", "fake=1"] {
            assert!(wrong.parse::<Runtime>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_flags_are_consistent() {
        use clap::CommandFactory;
        Flags::command().debug_assert();
    }

    #[test]
    fn the_folder_is_where_the_program_was_started() {
        let folder =
            |given: &str| Flags::try_parse_from(["cluster", "--data-dir", given]).map(|flags| flags.data_dir);
        let here = std::env::current_dir().expect("a folder");
        assert_eq!(folder("data").expect("a flag"), here.join("data"));
        assert_eq!(folder("/data").expect("a flag"), PathBuf::from("/data"));
        assert!(folder("").is_err());
    }
}
