//! The server, driven by Debian's etcdctl.

use std::process::Stdio;
use std::sync::Arc;

use kube_store::{EtcdServer, LeaseRequest, LeaseResponse, Member, MemoryStore, Store, StoreExt};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

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
        if Command::new("etcdctl").arg("version").stdout(Stdio::null()).status().await.is_err() {
            let mut stderr = std::io::stderr();
            std::io::Write::write_all(
                &mut stderr,
                b"SKIPPED: etcdctl is not installed (apt-get install etcd-client)\n",
            )
            .unwrap();
            return None;
        }
        let store = Arc::new(MemoryStore::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let member = Member { name: "one".into(), client_urls: vec![endpoint.clone()] };
        let server = EtcdServer::new(store.clone(), member);
        let task = tokio::spawn(server.serve(listener, shutdown.clone()));
        Some(Self { store, endpoint, shutdown, task })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("etcdctl");
        let address = self.endpoint.trim_start_matches("http://");
        command.env("ETCDCTL_API", "3").args(["--endpoints", address]).args(args).kill_on_drop(true);
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

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_writes() {
    let Some(served) = Served::start().await else { return };
    assert_eq!(served.ok(&["put", "/a", "1"]).await, "OK\n");
    assert_eq!(served.ok(&["put", "/a", "2", "--prev-kv"]).await, "OK\n/a\n1\n");
    served.ok(&["put", "/b", "3"]).await;
    assert_eq!(served.ok(&["get", "/a"]).await, "/a\n2\n");
    assert_eq!(
        served.ok(&["get", "/", "--prefix", "--keys-only", "--order=DESCEND", "--sort-by=KEY"]).await,
        "/b\n\n/a\n\n"
    );
    assert_eq!(served.ok(&["get", "/a", "--rev=2"]).await, "/a\n1\n");
    assert_eq!(served.ok(&["get", "", "--from-key", "--limit=1", "--print-value-only"]).await, "2\n");
    let txn = "mod(\"/a\") = \"3\"\nvalue(\"/b\") > \"2\"\n\nput /c made\ndel /b\n\nget /a\n\n";
    let (success, text) = served.run(&["txn"], txn).await;
    assert!(success && text.starts_with("SUCCESS\n\nOK\n\n1\n"), "{text}");
    let kv = served.store.get("/c").await.unwrap().unwrap();
    assert_eq!((kv.value.as_ref(), kv.mod_revision), (&b"made"[..], 5));
    assert_eq!(served.ok(&["del", "/", "--prefix"]).await, "2\n");
    assert_eq!(served.ok(&["compaction", "5"]).await, "compacted revision 5\n");
    let (success, text) = served.run(&["get", "/a", "--rev=3"], "").await;
    assert!(!success && text.contains("required revision has been compacted"), "{text}");
    let (success, text) = served.run(&["get", "/a", "--rev=99"], "").await;
    assert!(!success && text.contains("required revision is a future revision"), "{text}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_about_itself() {
    let Some(served) = Served::start().await else { return };
    assert!(served.ok(&["endpoint", "health"]).await.contains("is healthy"));
    let status = served.ok(&["endpoint", "status", "-w", "json"]).await;
    assert!(status.contains("\"version\":\"3.5."), "{status}");
    let members = served.ok(&["member", "list"]).await;
    assert!(members.contains(&served.endpoint) && members.contains("one"), "{members}");
    assert!(served.ok(&["alarm", "list"]).await.is_empty());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases() {
    let Some(served) = Served::start().await else { return };
    let granted = served.ok(&["lease", "grant", "600"]).await;
    assert!(granted.contains("granted with TTL(600s)"), "{granted}");
    let LeaseResponse::Leases(ids) = served.store.lease(LeaseRequest::List).await.unwrap() else {
        panic!("no list")
    };
    let id = format!("{:x}", ids[0]);
    served.ok(&["put", "/leased", "1", "--lease", &id]).await;
    assert!(served.ok(&["lease", "list"]).await.contains(&id));
    assert!(served.ok(&["lease", "keep-alive", "--once", &id]).await.contains("keepalived with TTL(600)"));
    assert!(served.ok(&["lease", "timetolive", &id, "--keys"]).await.contains("attached keys([/leased])"));
    assert!(served.ok(&["lease", "revoke", &id]).await.contains("revoked"));
    assert_eq!(served.store.get("/leased").await.unwrap(), None);
    assert!(served.ok(&["lease", "timetolive", &id]).await.contains("already expired"));
    let (success, text) = served.run(&["put", "/leased", "1", "--lease", &id], "").await;
    assert!(!success && text.contains("requested lease not found"), "{text}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches() {
    let Some(served) = Served::start().await else { return };
    served.store.put("/w/a", "old").await.unwrap();
    let mut child = served
        .command(&["watch", "/w/", "--prefix", "--rev=2", "--prev-kv"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for wanted in ["PUT", "/w/a", "old"] {
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(wanted));
    }
    served.store.put("/elsewhere", "x").await.unwrap();
    served.store.put("/w/a", "new").await.unwrap();
    served.store.delete("/w/a").await.unwrap();
    for wanted in ["PUT", "/w/a", "old", "/w/a", "new", "DELETE", "/w/a", "new", "/w/a", ""] {
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(wanted));
    }
    child.kill().await.unwrap();
    let revision = served.store.revision().await.unwrap();
    served.store.compact(revision).await.unwrap();
    let (success, text) = served.run(&["watch", "/w/", "--prefix", "--rev=2"], "").await;
    assert!(!success && text.contains("required revision has been compacted"), "{text}");
    served.stop().await;
}
