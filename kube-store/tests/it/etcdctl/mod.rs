//! The server, driven by Debian's etcdctl.

mod keys;
mod locks;
mod maintenance;
mod users;

use std::process::Stdio;
use std::sync::Arc;

use kube_store::{Config, EtcdServer, Member, MemoryStore, ServerConfig};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::peer::skip;

/// A store being served.
struct Served {
    store: Arc<MemoryStore>,
    endpoint: String,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Served {
    /// `None` when the machine has no etcdctl.
    async fn start() -> Option<Self> {
        Self::with_quota(Config::default().quota_bytes).await
    }

    async fn with_quota(quota_bytes: u64) -> Option<Self> {
        if Command::new("etcdctl").arg("version").stdout(Stdio::null()).status().await.is_err() {
            skip("etcdctl is not installed (apt-get install etcd-client)");
            return None;
        }
        let store = Arc::new(MemoryStore::with_config(Config { quota_bytes, ..Config::default() }).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let (name, client_urls) = ("one".into(), vec![endpoint.clone()]);
        let member = Member { name, client_urls, peer_urls: vec!["http://127.0.0.1:2380".into()] };
        // The cheapest hash: passwords of tests are no secrets.
        let config = ServerConfig { member, quota_bytes, bcrypt_cost: 4, ..ServerConfig::default() };
        let server = EtcdServer::with_config(store.clone(), config);
        let task = tokio::spawn(server.serve(listener, shutdown.clone()));
        Some(Self { store, endpoint, shutdown, task })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &self.endpoint]).args(args).kill_on_drop(true);
        command
    }

    /// Runs etcdctl, `input` on its standard input; answers whether it succeeded, and both outputs.
    async fn run(&self, args: &[&str], input: &str) -> (bool, String) {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    async fn ok(&self, args: &[&str]) -> String {
        let (success, text) = self.run(args, "").await;
        assert!(success, "{args:?}: {text}");
        text
    }

    /// Runs etcdctl, which has to fail and say this.
    async fn fails(&self, args: &[&str], wanted: &str) {
        let (success, text) = self.run(args, "").await;
        assert!(!success && text.contains(wanted), "{args:?}: {text}");
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}
