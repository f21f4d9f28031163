//! Debian's etcd, to compare with.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kube_store::{EtcdStore, Store};
use tokio::process::{Child, Command};

/// A running etcd of one member.
pub(crate) struct Etcd {
    /// Where clients reach it.
    pub(crate) endpoint: String,
    /// A client of it.
    pub(crate) store: EtcdStore,
    _process: Child,
    _dir: Option<tempfile::TempDir>,
}

/// Where files of tests go: into memory where the machine allows, since nobody measures the disk here.
pub(crate) fn scratch_folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// A new folder there.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(scratch_folder()).unwrap()
}

/// Two addresses that were free a moment ago.
pub(crate) fn free_urls() -> [String; 2] {
    [0; 2].map(|_| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    })
}

/// Says on stderr itself that a test is skipped, which the test harness does not swallow.
pub(crate) fn skip(why: &str) {
    std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED: {why}\n").as_bytes()).unwrap();
}

/// The release that is installed; `None` when none is.
pub(crate) fn version() -> Option<String> {
    let Ok(told) = std::process::Command::new("etcd").arg("--version").output() else {
        skip("etcd is not installed (apt-get install etcd-server)");
        return None;
    };
    let told = String::from_utf8(told.stdout).unwrap();
    told.lines().find_map(|line| line.strip_prefix("etcd Version: ")).map(str::to_owned)
}

impl Etcd {
    /// Starts an empty one; `None` when the machine has none.
    pub(crate) async fn start() -> Option<Self> {
        let dir = scratch();
        let mut etcd = Self::start_in(dir.path(), &free_urls()).await?;
        etcd._dir = Some(dir);
        Some(etcd)
    }

    /// Starts one on the data in `dir`, made for a member named `default` at the second address.
    pub(crate) async fn start_in(dir: &Path, [client, peer]: &[String; 2]) -> Option<Self> {
        let process = Command::new("etcd")
            .args(["--data-dir", dir.to_str().unwrap(), "--log-level", "error"])
            .args(["--listen-client-urls", client, "--advertise-client-urls", client])
            .args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer])
            // Passwords of tests are no secrets.
            .args(["--bcrypt-cost", "4"])
            .args(["--initial-cluster", &format!("default={peer}")])
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(process) = process else {
            skip("etcd is not installed (apt-get install etcd-server)");
            return None;
        };
        let store = loop {
            match EtcdStore::connect(client.clone()).await {
                Ok(store) if store.status().await.is_ok() => break store,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        Some(Self { endpoint: client.clone(), store, _process: process, _dir: None })
    }
}
