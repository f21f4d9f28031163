//! The `kube-store` binary as a process: what it says of wrong flags, and what right ones do.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::identity::Authority;
use crate::process::{Process, free_address, skip, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_kube-store");

fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(BINARY).args(args).envs(env.iter().copied()).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn wrong_flags_end_it_as_they_end_etcd() {
    for (args, env, code, told) in [
        (&["--foo"][..], &[][..], 2, "flag provided but not defined: -foo"),
        (&["--snapshot-count=x"], &[], 2, "invalid value \"x\" for flag -snapshot-count: parse error"),
        (&["extra"], &[], 1, "'extra' is not a valid flag"),
        (&["--heartbeat-interval=0"], &[], 1, "--heartbeat-interval must be >0"),
        (&["--name=a"], &[("ETCD_NAME", "b")], 1, "is shadowed by corresponding command-line flag"),
        (&[], &[("ETCD_MAX_TXN_OPS", "x")], 1, "invalid value \"x\" for ETCD_MAX_TXN_OPS: parse error"),
        (
            &["--listen-client-urls=https://127.0.0.1:0"],
            &[],
            1,
            "TLS key/cert (--cert-file, --key-file) must be",
        ),
    ] {
        let output = run(args, env);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(told), "{args:?}: {text}");
        assert_eq!(text.contains("Usage:"), code == 2, "{args:?}: {text}");
    }
    let help = run(&["--help"], &[]);
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("--data-dir VALUE"));
    let version = String::from_utf8(run(&["--version"], &[]).stdout).unwrap();
    assert!(version.contains("etcd Version: 3."), "{version}");
}

/// Starts one with kubeadm's flags and others; its log goes to `log` in the folder.
fn start(dir: &Path, clients: &str, pages: &str, others: &[String]) -> Process {
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let peers = free_address();
    let child = Command::new(BINARY)
        .args([&format!("--data-dir={}", file("data")), "--name=control-plane"])
        .args([
            &format!("--listen-client-urls=https://{clients}"),
            &format!("--advertise-client-urls=https://{clients}"),
        ])
        .args([&format!("--cert-file={}", file("server.crt")), &format!("--key-file={}", file("server.key"))])
        .args([&format!("--trusted-ca-file={}", file("ca.crt")), "--client-cert-auth=true"])
        .args([
            &format!("--peer-cert-file={}", file("server.crt")),
            &format!("--peer-key-file={}", file("server.key")),
        ])
        .args([&format!("--peer-trusted-ca-file={}", file("ca.crt")), "--peer-client-cert-auth=true"])
        .args([
            &format!("--listen-peer-urls=https://{peers}"),
            &format!("--initial-advertise-peer-urls=https://{peers}"),
        ])
        .arg(format!("--initial-cluster=control-plane=https://{peers}"))
        .args([&format!("--listen-metrics-urls=http://{pages}"), "--snapshot-count=10000"])
        .args([
            "--experimental-initial-corrupt-check=true",
            "--experimental-watch-progress-notify-interval=5s",
        ])
        .args([&format!("--log-outputs={}", file("log")), "--log-level=info"])
        .args(others)
        .stdin(Stdio::null())
        .spawn();
    Process(child.unwrap())
}

/// Whether a client with this certificate may write.
fn puts(dir: &Path, clients: &str, name: Option<&str>) -> bool {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").current_dir(dir).args(["--endpoints", &format!("https://{clients}")]);
    command.args(["--cacert", "ca.crt", "--dial-timeout", "2s", "--command-timeout", "5s"]);
    if let Some(name) = name {
        command.args(["--cert", &format!("{name}.crt"), "--key", &format!("{name}.key")]);
    }
    command.args(["put", "a", "1"]).output().unwrap().status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubeadms_flags_serve_those_with_a_certificate_and_the_probes() {
    if Command::new("etcdctl").arg("version").output().is_err() {
        return skip("binary", "etcdctl is not installed");
    }
    let dir = tempfile::tempdir().unwrap();
    let mut authority = Authority::new(dir.path());
    for (name, host) in [("server", "localhost"), ("good", "good.example"), ("other", "other.example")] {
        authority.sign(name, host);
    }
    let lost = authority.sign("lost", "good.example");
    authority.revoke(lost);
    let (clients, pages) = (free_address(), free_address());
    let others = [
        format!("--client-crl-file={}", authority.file("revoked", "crl")),
        "--client-cert-allowed-hostname=good.example,server.example".to_owned(),
    ];
    let _server = start(dir.path(), &clients, &pages, &others);
    for (path, wanted) in [
        ("/health", "{\"health\":\"true\",\"reason\":\"\"}"),
        ("/readyz", "ok"),
        ("/livez", "ok"),
        ("/metrics", "etcd_server_has_leader 1\n"),
        ("/metrics", "etcd_server_is_leader 1\n"),
    ] {
        wait_for(&pages, path, wanted).await;
    }
    assert!(puts(dir.path(), &clients, Some("good")));
    for (name, why) in [
        (None, "without a certificate"),
        (Some("other"), "for another host"),
        (Some("lost"), "one that was revoked"),
    ] {
        assert!(!puts(dir.path(), &clients, name), "{why}");
    }
    wait_for(&pages, "/metrics", "etcd_mvcc_put_total 1\n").await;
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.contains("--experimental-initial-corrupt-check has no effect"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_list_in_der_names_is_not_served() {
    if Command::new("etcdctl").arg("version").output().is_err() {
        return skip("binary", "etcdctl is not installed");
    }
    let dir = tempfile::tempdir().unwrap();
    let mut authority = Authority::new(dir.path());
    for name in ["server", "good"] {
        authority.sign(name, "localhost");
    }
    let lost = authority.sign("lost", "localhost");
    authority.revoke(lost);
    let (clients, pages) = (free_address(), free_address());
    let list = format!("--client-crl-file={}", authority.file("revoked", "der"));
    let _server = start(dir.path(), &clients, &pages, &[list]);
    wait_for(&pages, "/health", "\"true\"").await;
    assert!(puts(dir.path(), &clients, Some("good")));
    assert!(!puts(dir.path(), &clients, Some("lost")));
    assert!(puts(dir.path(), &clients, Some("ca")), "etcd takes the authority's own certificate too");
}

/// Whether somebody with these flags may write.
fn etcdctl_puts(flags: &[&str]) -> bool {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args(["--dial-timeout=2s", "--command-timeout=5s"]).args(flags);
    command.args(["put", "a", "1"]).output().unwrap().status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_made_and_files_are_listened_at() {
    if Command::new("etcdctl").arg("version").output().is_err() {
        return skip("binary", "etcdctl is not installed");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (clients, peers, pages) = (free_address(), free_address(), free_address());
    let file = format!("unix://{}", path("socket"));
    let started = Command::new(BINARY)
        .args(["--auto-tls", "--peer-auto-tls", &format!("--data-dir={}", path("data"))])
        .arg(format!("--listen-client-urls=https://{clients},{file}"))
        .args([
            &format!("--listen-peer-urls=https://{peers}"),
            &format!("--initial-advertise-peer-urls=https://{peers}"),
            &format!("--initial-cluster=default=https://{peers}"),
            &format!("--listen-metrics-urls=http://{pages}"),
            &format!("--log-outputs={}", path("log")),
        ])
        .stdin(Stdio::null())
        .spawn();
    let mut server = Process(started.unwrap());
    wait_for(&pages, "/health", "\"true\"").await;
    let url = format!("--endpoints=https://{clients}");
    assert!(etcdctl_puts(&[&url, "--insecure-skip-tls-verify", "--insecure-transport=false"]));
    assert!(!etcdctl_puts(&[&url]), "nobody vouches for the certificate");
    assert!(!etcdctl_puts(&[&format!("--endpoints=http://{clients}")]), "there is TLS");
    assert!(etcdctl_puts(&[&format!("--endpoints={file}")]));
    for side in ["client", "peer"] {
        assert!(dir.path().join("data/fixtures").join(side).join("cert.pem").exists(), "{side}");
    }
    server.signal(rustix::process::Signal::TERM);
    assert!(server.0.wait().unwrap().success());
    assert!(!dir.path().join("socket").exists(), "it takes the file along");
}
