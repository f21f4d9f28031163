use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use cni_client::{Attachment, Client, Config, Error, NetworkList};

/// A plugin that notes each call in `calls` and answers with the script's output.
fn plugin(dir: &Path, name: &str, body: &str) {
    let script = format!(
        "#!/bin/sh\nconfig=$(cat)\necho \"{name} $CNI_COMMAND $CNI_IFNAME $CNI_ARGS $config\" >> {}/calls\n{body}\n",
        dir.display()
    );
    let path = dir.join(name);
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

const RESULT: &str = r#"[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.2/24","gateway":"10.1.0.1"}]}' || true"#;

fn client(dir: &Path) -> Client {
    Client::new(Config {
        plugin_dirs: vec![dir.into()],
        cache_dir: dir.join("cache"),
        plugin_timeout: Duration::from_secs(20),
    })
}

fn network(plugins: &str) -> NetworkList {
    NetworkList::parse(format!(r#"{{"cniVersion":"1.0.0","name":"net","plugins":[{plugins}]}}"#).as_bytes())
        .unwrap()
}

/// The calls noted so far, each as plugin, command and whether the previous result was given.
fn calls(dir: &Path) -> Vec<String> {
    let noted = std::fs::read_to_string(dir.join("calls")).unwrap_or_default();
    let brief = |line: &str| {
        let words: Vec<_> = line.split(' ').take(2).collect();
        format!("{}{}", words.join(" "), if line.contains("prevResult") { " +prev" } else { "" })
    };
    noted.lines().map(brief).collect()
}

#[tokio::test]
async fn a_chain_runs_forward_to_add_and_backward_to_delete() {
    let dir = tempfile::tempdir().unwrap();
    plugin(dir.path(), "one", RESULT);
    plugin(dir.path(), "two", RESULT);
    let (client, network) = (client(dir.path()), network(r#"{"type":"one"},{"type":"two"}"#));
    let mut attachment = Attachment::new("c1", "/ns", "eth0");
    attachment.args.push(("K8S_POD_NAME".into(), "web".into()));

    let result = client.add(&network, &attachment).await.unwrap();
    assert_eq!(result.ips[0].address.to_string(), "10.1.0.2/24");
    client.check(&network, &attachment).await.unwrap();
    client.del(&network, &attachment).await.unwrap();
    client.del(&network, &attachment).await.unwrap();
    let expected = [
        "one ADD",
        "two ADD +prev",
        "one CHECK +prev",
        "two CHECK +prev",
        "two DEL +prev",
        "one DEL +prev",
        "two DEL",
        "one DEL",
    ];
    assert_eq!(calls(dir.path()), expected);
    let noted = std::fs::read_to_string(dir.path().join("calls")).unwrap();
    assert!(noted.starts_with("one ADD eth0 K8S_POD_NAME=web {"), "{noted}");
    let unattached = client.check(&network, &attachment).await.unwrap_err();
    assert!(matches!(unattached, Error::NotAttached { .. }), "{unattached:?}");
}

#[tokio::test]
async fn a_failed_add_is_taken_back_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    plugin(dir.path(), "one", RESULT);
    let failing =
        r#"[ "$CNI_COMMAND" = ADD ] || exit 0; echo '{"code":11,"msg":"busy","details":"later"}'; exit 1"#;
    plugin(dir.path(), "two", failing);
    let network = network(r#"{"type":"one"},{"type":"two"}"#);
    let error = client(dir.path()).add(&network, &Attachment::new("c1", "/ns", "eth0")).await.unwrap_err();
    assert_eq!(error.to_string(), "plugin two failed ADD: busy; later (code 11)");
    assert!(error.is_retryable());
    assert_eq!(calls(dir.path()), ["one ADD", "two ADD +prev", "two DEL", "one DEL"]);
}

#[tokio::test]
async fn plugins_that_misbehave_are_named() {
    let dir = tempfile::tempdir().unwrap();
    plugin(dir.path(), "crash", "echo oops >&2; exit 2");
    plugin(dir.path(), "prose", "echo hello");
    let cases = [
        ("missing", "failed to find plugin \"missing\""),
        ("crash", "plugin crash broke off ADD: exit status: 2: oops"),
        ("prose", "plugin prose broke off ADD: its answer is not JSON"),
    ];
    for (kind, expected) in cases {
        let network = network(&format!(r#"{{"type":"{kind}"}}"#));
        let error = client(dir.path()).add(&network, &Attachment::new("c", "/ns", "eth0")).await.unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn a_plugin_that_hangs_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    plugin(dir.path(), "hang", "exec sleep 1000");
    let config = Config {
        plugin_dirs: vec![dir.path().into()],
        cache_dir: dir.path().into(),
        plugin_timeout: Duration::from_millis(200),
    };
    let error = Client::new(config).version("hang").await.unwrap_err();
    assert!(matches!(error, Error::Deadline { command: "VERSION", .. }), "{error:?}");
}
