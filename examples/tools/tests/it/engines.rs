//! The binary on each engine that has a disk, used by etcdctl: what it keeps when it is killed, and snapshots from and to a stock
//! etcd.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::process::{Process, free_address, skip};

const BINARY: &str = env!("CARGO_BIN_EXE_kube-store");

fn etcdctl(args: &[&str]) -> Command {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args(args).stdin(Stdio::null());
    command
}

fn text(output: Output, of: &dyn std::fmt::Debug) -> String {
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{of:?}: {text}");
    text
}

/// A server, ours or a stock one.
struct Server {
    address: String,
    process: Process,
}

impl Server {
    /// Starts one, and waits until it answers.
    fn start(program: &str, dir: &Path, others: &[&str]) -> Self {
        let address = free_address();
        let child = Command::new(program)
            .args(["--data-dir", dir.to_str().unwrap()])
            .arg(format!("--listen-client-urls=http://{address}"))
            .arg(format!("--advertise-client-urls=http://{address}"))
            .args(others)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut server = Self { address, process: Process(child.unwrap()) };
        // etcdctl takes its time, so this asks for little.
        while !server.command(&["get", "any"]).output().unwrap().status.success() {
            let ended = server.process.0.try_wait().unwrap();
            assert!(ended.is_none(), "{program} has ended: {ended:?}");
        }
        server
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = etcdctl(args);
        command.args(["--endpoints", &self.address]);
        command
    }

    fn ok(&self, args: &[&str]) -> String {
        text(self.command(args).output().unwrap(), &args)
    }

    /// The first lines of a watch.
    fn watched<const LINES: usize>(&self, args: &[&str]) -> [String; LINES] {
        let child = self.command(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut process = Process(child);
        let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
        std::array::from_fn(|_| lines.next().unwrap().unwrap())
    }

    fn save(&self, file: &str) {
        self.ok(&["snapshot", "save", file]);
    }
}

fn is_missing(test: &str) -> bool {
    let missing =
        ["etcd", "etcdctl"].iter().find(|program| Command::new(program).arg("--version").output().is_err());
    if let Some(program) = missing {
        skip(test, &format!("{program} is not installed"));
    }
    missing.is_some()
}

/// Uses a server, kills it, and finds everything again.
fn survives(dir: &Path, engine: &str) -> Server {
    let server = Server::start(BINARY, dir, &[engine]);
    for n in 0..50 {
        server.ok(&["put", &format!("k{n:02}"), "first"]);
    }
    assert_eq!(server.ok(&["put", "k07", "second", "--prev-kv"]), "OK\nk07\nfirst\n");
    assert_eq!(server.ok(&["del", "k08"]), "1\n");
    let lease = server.ok(&["lease", "grant", "600"]).split(' ').nth(1).unwrap().to_owned();
    server.ok(&["put", "leased", "1", "--lease", &lease]);
    let told = server.watched::<6>(&["watch", "k07", "--rev=2"]);
    assert_eq!(told, ["PUT", "k07", "first", "PUT", "k07", "second"]);
    // With its process goes everything that had not been synced.
    drop(server);
    let server = Server::start(BINARY, dir, &[engine]);
    assert_eq!(server.ok(&["get", "k07"]), "k07\nsecond\n");
    assert_eq!(
        server.ok(&["get", "k", "--prefix", "--keys-only"]).lines().filter(|l| !l.is_empty()).count(),
        49
    );
    assert!(server.ok(&["lease", "timetolive", &lease, "--keys"]).contains("attached keys([leased])"));
    assert_eq!(server.ok(&["get", "k07", "--rev=30", "--print-value-only"]), "first\n");
    server
}

/// Starts a stock etcd on a snapshot.
fn stock(dir: &Path, file: &str) -> Server {
    let url = format!("http://{}", free_address());
    let cluster = format!("default={url}");
    let place = ["--initial-cluster", &cluster, "--initial-advertise-peer-urls", &url];
    let restore = ["snapshot", "restore", file, "--data-dir", dir.to_str().unwrap()];
    text(etcdctl(&[&restore[..], &place].concat()).output().unwrap(), &restore);
    Server::start("etcd", dir, &[&place[..], &["--listen-peer-urls", &url]].concat())
}

fn check(test: &str, engine: &str) {
    if is_missing(test) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let flag = format!("--engine={engine}");
    let server = survives(&path("ours"), &flag);
    let (ours, theirs) = (path("ours.db"), path("theirs.db"));
    let (ours, theirs) = (ours.to_str().unwrap(), theirs.to_str().unwrap());
    server.save(ours);
    let etcd = stock(&path("stock"), ours);
    assert_eq!(etcd.ok(&["get", "k07"]), "k07\nsecond\n");
    assert_eq!(etcd.ok(&["get", "k07", "--rev=30", "--print-value-only"]), "first\n");
    etcd.ok(&["put", "theirs", "1"]);
    etcd.save(theirs);
    let back = path("back");
    let restore = ["snapshot", "restore", theirs, "--data-dir", back.to_str().unwrap(), &flag];
    text(Command::new(BINARY).args(restore).output().unwrap(), &restore);
    let server = Server::start(BINARY, &back, &[&flag]);
    assert_eq!(server.ok(&["get", "theirs"]), "theirs\n1\n");
    assert_eq!(keys(&server), keys(&etcd));
}

/// All keys with their numbers, without who answers.
fn keys(server: &Server) -> Vec<String> {
    let said = server.ok(&["get", "", "--prefix", "-w", "fields"]);
    let is_header =
        |line: &str| ["ClusterID", "MemberID", "RaftTerm"].iter().any(|field| line.contains(field));
    said.lines().filter(|line| !is_header(line)).map(str::to_owned).collect()
}

#[test]
fn the_embedded_engine_keeps_what_was_answered() {
    check("engines", "embedded");
}

#[cfg(feature = "rocksdb")]
#[test]
fn rocksdb_keeps_what_was_answered() {
    check("engines", "rocksdb");
}

/// etcd's own files cannot be read in place; a server that began with nothing beside them would seem to have lost everything.
#[test]
fn a_folder_of_etcds_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("member/wal")).unwrap();
    let output = Command::new(BINARY)
        .args(["--data-dir", dir.path().to_str().unwrap(), "--listen-client-urls=http://127.0.0.1:0"])
        .arg("--advertise-client-urls=http://127.0.0.1:1")
        .output()
        .unwrap();
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!output.status.success() && told.contains("is a folder of etcd's"), "{told}");
}
