//! What etcd's manual says to do when the quota is used up, typed word by word.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::process::{Process, free_address, skip, wait_for};

const QUOTA: usize = 4 << 20;

/// A server, and etcdctl for it.
struct Served {
    address: String,
    _server: Process,
}

impl Served {
    fn start(dir: &std::path::Path) -> Self {
        let (address, peers) = (free_address(), format!("http://{}", free_address()));
        let server = Command::new(env!("CARGO_BIN_EXE_kube-store"))
            .arg(format!("--data-dir={}", dir.join("data").display()))
            .args([
                format!("--listen-client-urls=http://{address}"),
                format!("--quota-backend-bytes={QUOTA}"),
            ])
            .args([format!("--listen-peer-urls={peers}"), format!("--initial-advertise-peer-urls={peers}")])
            .arg(format!("--initial-cluster=default={peers}"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self { address, _server: Process(server.unwrap()) }
    }

    /// Whether it succeeded, and what it said.
    fn etcdctl(&self, args: &[&str], input: &[u8]) -> (bool, String) {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &self.address]).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Not every command reads it.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    fn ok(&self, args: &[&str]) -> String {
        let (success, text) = self.etcdctl(args, b"");
        assert!(success, "{args:?}: {text}");
        text
    }

    /// The revision, the database's size, and what of it is in use.
    fn status(&self) -> (u64, u64, u64) {
        let status: serde_json::Value =
            serde_json::from_str(&self.ok(&["endpoint", "status", "--write-out=json"])).unwrap();
        let status = &status[0]["Status"];
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        (number(&status["header"]["revision"]), number(&status["dbSize"]), number(&status["dbSizeInUse"]))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_is_freed_as_etcds_manual_says() {
    if Command::new("etcdctl").arg("version").output().is_err() {
        return skip("quota", "etcdctl is not installed");
    }
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path());
    wait_for(&served.address, "/health", "\"true\"").await;
    let value = vec![b'x'; QUOTA / 8];
    let mut puts = 0;
    let refused = loop {
        let (success, text) = served.etcdctl(&["put", "key"], &value);
        if !success {
            break text;
        }
        puts += 1;
    };
    assert!(refused.contains("mvcc: database space exceeded"), "{refused}");
    assert!((4..8).contains(&puts), "{puts}");
    assert!(served.ok(&["--write-out=table", "endpoint", "status"]).contains("NOSPACE"));
    assert!(served.ok(&["alarm", "list"]).contains("alarm:NOSPACE"));
    let (revision, size, in_use) = served.status();
    assert!(in_use <= QUOTA as u64 && in_use <= size, "{in_use} of {size}");

    assert!(served.ok(&["compact", &revision.to_string()]).contains("compacted revision"));
    let (success, text) = served.etcdctl(&["put", "newkey", "123"], b"");
    assert!(
        !success && text.contains("database space exceeded"),
        "the alarm stands until it is disarmed: {text}"
    );
    assert!(served.ok(&["defrag"]).contains("Finished defragmenting etcd member"));
    assert!(served.ok(&["alarm", "disarm"]).contains("alarm:NOSPACE"));
    assert_eq!(served.ok(&["put", "newkey", "123"]), "OK\n");
    assert_eq!(served.ok(&["alarm", "list"]), "");
    let (_, _, in_use) = served.status();
    assert!(in_use < QUOTA as u64 / 4, "{in_use}: one value is left");
}
