//! Users by the names in their certificates.

use std::sync::Arc;

use kube_store::{EtcdServer, MemoryStore, ServerConfig};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::front::{Identity, certified, config, identity};
use crate::peer::{scratch, skip};

/// A client that shows a certificate, and its server that wants that.
struct Client {
    dir: tempfile::TempDir,
    endpoint: String,
}

impl Client {
    /// Serves `store` to one whose certificate has this name.
    async fn of(store: &Arc<MemoryStore>, name: &str, client_cert_auth: bool) -> Self {
        let (ours, theirs, dir) = (identity(), certified(name), scratch());
        let Identity { certificate, key, .. } = &theirs;
        for (file, text) in [("ca", &ours.authority), ("crt", certificate), ("key", &key.serialize_pem())] {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://{}", listener.local_addr().unwrap());
        let (_, tls) = watch::channel(config(&ours, &theirs));
        // The cheapest hash: passwords of tests are no secrets.
        let options = ServerConfig { client_cert_auth, bcrypt_cost: 4, ..ServerConfig::default() };
        let server = EtcdServer::with_config(store.clone(), options);
        tokio::spawn(server.serve_tls(listener, tls, CancellationToken::new()));
        Self { dir, endpoint }
    }

    /// Whether etcdctl succeeded, and what it said; `None` when there is none.
    async fn run(&self, args: &[&str]) -> Option<(bool, String)> {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &self.endpoint]).current_dir(self.dir.path());
        command.args(["--cacert", "ca", "--cert", "crt", "--key", "key"]).args(args);
        let output = command.output().await.ok()?;
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        Some((output.status.success(), text))
    }

    async fn check(&self, args: &[&str], wanted: Result<&str, &str>) {
        let (success, text) = self.run(args).await.unwrap();
        let told = wanted.unwrap_or_else(|text| text);
        assert!(success == wanted.is_ok() && text.contains(told), "{args:?}: {text}");
    }
}

/// Makes the users root and alice, who may do anything with the keys from a to b; `None` when there is no etcdctl.
async fn make_users(root: &Client) -> Option<()> {
    for args in [
        &["user", "add", "root:pw"][..],
        &["role", "add", "root"],
        &["user", "grant-role", "root", "root"],
        &["user", "add", "alice:pw"],
        &["role", "add", "keys"],
        &["role", "grant-permission", "keys", "readwrite", "a", "b"],
        &["user", "grant-role", "alice", "keys"],
        &["auth", "enable"],
    ] {
        let (success, text) = root.run(args).await?;
        assert!(success, "{args:?}: {text}");
    }
    Some(())
}

/// As etcd with `--client-cert-auth`: who has no token is whom the certificate names.
#[tokio::test(flavor = "multi_thread")]
async fn the_name_in_a_certificate_is_a_user() {
    let store = Arc::new(MemoryStore::new());
    let (root, alice) = (Client::of(&store, "root", true).await, Client::of(&store, "alice", true).await);
    if make_users(&root).await.is_none() {
        return skip("etcdctl is not installed (apt-get install etcd-client)");
    }
    alice.check(&["put", "a", "1"], Ok("OK")).await;
    alice.check(&["get", "a"], Ok("1")).await;
    alice.check(&["put", "c", "1"], Err("permission denied")).await;
    // These are not served in the same way as those.
    alice.check(&["del", "c"], Err("permission denied")).await;
    alice.check(&["user", "list"], Err("permission denied")).await;
    alice.check(&["watch", "c"], Err("permission denied")).await;
    root.check(&["user", "list"], Ok("alice")).await;
    alice.check(&["--user", "root:pw", "user", "list"], Ok("alice")).await;
    let bob = Client::of(&store, "bob", true).await;
    bob.check(&["put", "a", "1"], Err("permission denied")).await;
    bob.check(&["lease", "grant", "10"], Err("permission denied")).await;
    let unnamed = Client::of(&store, "alice", false).await;
    unnamed.check(&["put", "a", "1"], Err("user name is empty")).await;
}
