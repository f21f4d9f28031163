use std::path::{Path, PathBuf};
use std::process::Command;

use cni_client::{Attachment, Client, Config, Error, NetworkList};

/// Debian's place for plugins, and upstream's.
const PLUGIN_DIRS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// Two named network namespaces, one as the host and one as the container; removed with the value.
struct Namespaces {
    host: String,
    container: String,
}

fn ip(args: &[&str]) -> bool {
    Command::new("ip").args(args).output().is_ok_and(|o| o.status.success())
}

impl Namespaces {
    fn new() -> Self {
        let name = |role: &str| format!("cni-{}-{role}", std::process::id());
        let namespaces = Self { host: name("h"), container: name("c") };
        assert!(ip(&["netns", "add", &namespaces.host]) && ip(&["netns", "add", &namespaces.container]));
        namespaces
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.container]);
        ip(&["netns", "del", &self.host]);
    }
}

/// Wraps plugins so that they run in the namespace that plays the host: the machine's own network stays as it is.
fn wrapped(dir: &Path, host: &str, plugins: &[&str]) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let wrappers = dir.join("bin");
    std::fs::create_dir(&wrappers).unwrap();
    let real = PLUGIN_DIRS.iter().find(|d| Path::new(d).join("bridge").exists()).unwrap();
    for plugin in plugins {
        let path = wrappers.join(plugin);
        std::fs::write(&path, format!("#!/bin/sh\nexec ip netns exec {host} {real}/{plugin}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    wrappers
}

fn can_run() -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
    let plugins = PLUGIN_DIRS.iter().any(|dir| Path::new(dir).join("bridge").exists());
    let reason = match (root, plugins, ip(&["netns", "list"])) {
        (false, ..) => "it needs root",
        (_, false, _) => "it needs the reference plugins (containernetworking-plugins)",
        (.., false) => "it needs iproute2",
        _ => return true,
    };
    report_skip(reason);
    false
}

fn report_skip(reason: &str) {
    // Not eprintln!, which the test harness keeps to itself.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("SKIPPED: {reason}\n"));
}

fn network(dir: &Path) -> NetworkList {
    let list = r#"{"cniVersion":"1.0.0","name":"test","plugins":[
        {"type":"bridge","bridge":"br-test","isGateway":true,"ipMasq":false,"hairpinMode":true,
         "ipam":{"type":"host-local","dataDir":"DIR/ipam","ranges":[[{"subnet":"10.212.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}},
        {"type":"tuning","sysctl":{"net.core.somaxconn":"500"}}]}"#;
    NetworkList::parse(list.replace("DIR", &dir.display().to_string()).as_bytes()).unwrap()
}

#[tokio::test]
async fn root_the_reference_plugins_attach_check_and_detach() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let bin = wrapped(dir.path(), &namespaces.host, &["bridge", "tuning", "host-local"]);
    let client = Client::new(Config {
        plugin_dirs: vec![bin],
        cache_dir: dir.path().join("cache"),
        ..Config::default()
    });
    let attachment = Attachment::new("c1", format!("/run/netns/{}", namespaces.container), "eth0");
    let network = network(dir.path());

    assert!(client.version("bridge").await.unwrap().contains(&"1.0.0".to_owned()));
    let result = client.add(&network, &attachment).await.unwrap();
    assert_eq!(result.ips[0].address.to_string(), "10.212.0.2/24");
    assert!(ip(&["netns", "exec", &namespaces.container, "ping", "-c1", "-W2", "10.212.0.1"]) || no_ping());
    client.check(&network, &attachment).await.unwrap();

    assert!(ip(&["-n", &namespaces.container, "link", "set", "eth0", "down"]));
    assert!(ip(&["-n", &namespaces.container, "address", "flush", "dev", "eth0"]));
    let changed = client.check(&network, &attachment).await.unwrap_err();
    assert!(matches!(changed, Error::Plugin { command: "CHECK", .. }), "{changed:?}");

    client.del(&network, &attachment).await.unwrap();
    client.del(&network, &attachment).await.unwrap();
    assert!(!ip(&["-n", &namespaces.container, "link", "show", "eth0"]), "the interface is gone");
    let again = client.add(&network, &attachment).await.unwrap();
    assert_eq!(again.ips.len(), 1, "an address is free again");
    client.del(&network, &attachment).await.unwrap();
}

fn no_ping() -> bool {
    Command::new("ping").arg("-V").output().is_err()
}
