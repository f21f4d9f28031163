//! The `kube-store` binary, a group of one, used by the `etcd-client` crate as others use etcd by it.

mod access;
mod keys;
mod queues;
mod service;

use std::process::{Command, Stdio};

use etcd_client::{Client, ConnectOptions, Error, GetResponse};

use crate::process::{Process, free_address};

/// A running server.
struct Server {
    address: String,
    _process: Process,
    dir: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let server = Self::spawn(tempfile::tempdir().unwrap(), "http", &[]);
        server.ready(None).await;
        server
    }

    /// Starts a process that keeps its data in `dir` and serves clients by this scheme.
    fn spawn(dir: tempfile::TempDir, scheme: &str, others: &[String]) -> Self {
        let (address, peers) = (free_address(), free_address());
        let child = Command::new(env!("CARGO_BIN_EXE_kube-store"))
            .args(["--name", "one", "--data-dir", dir.path().join("data").to_str().unwrap()])
            .arg(format!("--listen-client-urls={scheme}://{address}"))
            .arg(format!("--advertise-client-urls={scheme}://{address}"))
            .arg(format!("--listen-peer-urls=http://{peers}"))
            .arg(format!("--initial-advertise-peer-urls=http://{peers}"))
            .arg(format!("--initial-cluster=one=http://{peers}"))
            // The cheapest hash: passwords of tests are no secrets.
            .arg("--bcrypt-cost=4")
            .args(others)
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .spawn();
        Self { address, _process: Process(child.unwrap()), dir }
    }

    /// Waits until it answers; a client.
    async fn ready(&self, options: Option<ConnectOptions>) -> Client {
        loop {
            let client = Client::connect([&self.address], options.clone()).await;
            if let Ok(mut client) = client
                && client.get("any", None).await.is_ok()
            {
                return client;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn client(&self) -> Client {
        // As the crate's own tests: who would rather hear that nobody leads than wait.
        let options = ConnectOptions::new().with_require_leader(true);
        Client::connect([&self.address], Some(options)).await.unwrap()
    }

    async fn as_user(&self, name: &str, password: &str) -> Result<Client, Error> {
        let options = ConnectOptions::new().with_user(name, password);
        Client::connect([&self.address], Some(options)).await
    }
}

/// `key=value` of what was found, in order.
fn found(response: &GetResponse) -> Vec<String> {
    let pair = |kv: &etcd_client::KeyValue| format!("{}={}", kv.key_str().unwrap(), kv.value_str().unwrap());
    response.kvs().iter().map(pair).collect()
}

/// The text with which the server refuses something.
fn refusal<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => panic!("it was done"),
        Err(Error::GRpcStatus(status)) => status.message().to_owned(),
        Err(other) => panic!("{other}"),
    }
}
