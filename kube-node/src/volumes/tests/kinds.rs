//! Volumes that the node makes itself.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use super::*;

fn mode(mounted: &Mounted, volume: &str, file: &str) -> u32 {
    std::fs::metadata(mounted.volumes[volume].path.join(file)).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn files_come_from_objects_and_follow_them() {
    let node = Node::new();
    let volumes = node.volumes(Vec::new());
    node.put("configmaps", "default", "settings", json!({"data": {"a": "1", "b": "2"}}));
    node.put("secrets", "default", "key", json!({"data": {"k": "aHVzaA=="}}));
    let pod = pod(
        "p",
        json!([
            {"name": "all", "configMap": {"name": "settings"}},
            {"name": "some", "configMap": {"name": "settings", "items": [{"key": "a", "path": "in/x", "mode": 0o600}]}},
            {"name": "secret", "secret": {"secretName": "key", "defaultMode": 0o400}},
            {"name": "about", "downwardAPI": {"items": [{"path": "app", "fieldRef": {"fieldPath": "metadata.labels['app']"}}]}},
            {"name": "maybe", "configMap": {"name": "none", "optional": true}},
        ]),
    );
    let mounted = mount(&volumes, &pod).await.unwrap();
    let place = node.root().join("pods/uid-p/volumes/kubernetes.io~configmap/all");
    assert_eq!(mounted.volumes["all"].path, place, "where upstream has it");
    assert_eq!(read(&mounted, "all", "b").as_deref(), Some("2"));
    assert_eq!(read(&mounted, "some", "in/x").as_deref(), Some("1"));
    assert_eq!((mode(&mounted, "some", "in/x"), mode(&mounted, "secret", "k")), (0o600, 0o400));
    assert_eq!(read(&mounted, "some", "b"), None);
    assert_eq!(read(&mounted, "secret", "k").as_deref(), Some("hush"));
    assert_eq!(read(&mounted, "about", "app").as_deref(), Some("p"));
    node.put("configmaps", "default", "settings", json!({"data": {"a": "3"}}));
    let mounted = mount(&volumes, &pod).await.unwrap();
    assert_eq!((read(&mounted, "all", "a").as_deref(), read(&mounted, "all", "b")), (Some("3"), None));
    assert_eq!(volumes.known_pods().await, ["uid-p"]);
    volumes.unmount("uid-p").await.unwrap();
    assert!(!node.root().join("pods/uid-p").exists());
    volumes.unmount("uid-p").await.expect("again");
}

#[tokio::test(start_paused = true)]
async fn tokens_are_asked_for_again_when_they_get_old() {
    let node = Node::new();
    let volumes = node.volumes(Vec::new());
    let source = json!({"serviceAccountToken": {"path": "token", "expirationSeconds": 1000}});
    let pod = pod("p", json!([{"name": "api", "projected": {"sources": [source]}}]));
    let mounted = mount(&volumes, &pod).await.unwrap();
    assert_eq!(mounted.renew, Some(node.clock.now() + jiff::SignedDuration::from_secs(800)));
    assert_eq!(read(&mounted, "api", "token").as_deref(), Some("token-1"));
    tokio::time::advance(Duration::from_secs(799)).await;
    let mounted = mount(&volumes, &pod).await.unwrap();
    assert_eq!(read(&mounted, "api", "token").as_deref(), Some("token-1"));
    tokio::time::advance(Duration::from_secs(1)).await;
    let mounted = mount(&volumes, &pod).await.unwrap();
    assert_eq!(read(&mounted, "api", "token").as_deref(), Some("token-2"));
    volumes.unmount("uid-p").await.unwrap();
    let mounted = mount(&volumes, &pod).await.unwrap();
    assert_eq!(read(&mounted, "api", "token").as_deref(), Some("token-3"), "a pod that is gone has no token");
    volumes.unmount("uid-p").await.unwrap();
}

#[tokio::test]
async fn what_is_missing_is_named_with_its_volume() {
    let node = Node::new();
    let volumes = node.volumes(Vec::new());
    node.put("configmaps", "default", "settings", json!({"data": {}}));
    let key = json!({"name": "settings", "items": [{"key": "x", "path": "x"}]});
    for (volume, expected) in [
        (json!({"configMap": {"name": "none"}}), "configmap \"none\" not found"),
        (json!({"secret": {"secretName": "none"}}), "secret \"none\" not found"),
        (json!({"configMap": key}), "configmap \"settings\" references non-existent configmap key: x"),
        (json!({"nfs": {"server": "x", "path": "/"}}), "this kind of volume is not supported"),
        (json!({"persistentVolumeClaim": {"claimName": "none"}}), "NotFound"),
    ] {
        let mut volume = volume;
        volume["name"] = "v".into();
        let error = mount(&volumes, &pod("p", json!([volume]))).await.unwrap_err().to_string();
        assert!(error.starts_with("MountVolume.SetUp failed for volume \"v\" : "), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_empty_directory_keeps_its_content_and_goes_with_the_pod() {
    let node = Node::new();
    let volumes = node.volumes(Vec::new());
    let group = rustix::process::getegid().as_raw();
    let mut pod = pod("p", json!([{"name": "e", "emptyDir": {}}]));
    let mounted = mount(&volumes, &pod).await.unwrap();
    let path = &mounted.volumes["e"].path;
    assert_eq!(mode(&mounted, "e", "."), 0o777);
    std::fs::write(path.join("f"), "kept").unwrap();
    let security = json!({"fsGroup": group});
    pod.spec.as_mut().unwrap().security_context = serde_json::from_value(security).unwrap();
    let mounted = mount(&volumes, &pod).await.unwrap();
    assert_eq!(read(&mounted, "e", "f").as_deref(), Some("kept"));
    assert_eq!(mode(&mounted, "e", ".") & 0o2070, 0o2070, "the group's, and what is made in it too");
    volumes.unmount("uid-p").await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn memory_is_given_back() {
    if !rustix::process::geteuid().is_root() {
        // Not by a macro: the test's runner keeps what those print of a test that passes.
        std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: mounting needs root\n").unwrap();
        return;
    }
    let node = Node::new();
    let volumes = node.volumes(Vec::new());
    let pod = pod("p", json!([{"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]));
    let mounted = mount(&volumes, &pod).await.unwrap();
    let path = &mounted.volumes["m"].path;
    let size = rustix::fs::statvfs(path).unwrap();
    assert_eq!(size.f_blocks * size.f_frsize, 1 << 20);
    mount(&volumes, &pod).await.expect("again");
    let table = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert_eq!(table().matches(path.to_str().unwrap()).count(), 1, "once");
    volumes.unmount("uid-p").await.unwrap();
    assert_eq!(table().matches(path.to_str().unwrap()).count(), 0);
}

#[tokio::test]
async fn host_paths_are_what_they_should_be() {
    let node = Node::new();
    let volumes = node.volumes(Vec::new());
    let folder = node.folder.path().join("host");
    let at = |name: &str, kind: &str| json!([{"name": "h", "hostPath": {"path": folder.join(name), "type": kind}}]);
    for (name, kind, good) in [
        ("dir", "Directory", false),
        ("dir", "DirectoryOrCreate", true),
        ("dir", "Directory", true),
        ("dir", "File", false),
        ("dir/f", "File", false),
        ("dir/f", "FileOrCreate", true),
        ("dir/f", "File", true),
        ("dir/f", "Socket", false),
        ("dir/f", "CharDevice", false),
        ("dir/f", "BlockDevice", false),
        ("none", "", true),
    ] {
        let found = mount(&volumes, &pod("p", at(name, kind))).await;
        assert_eq!(found.is_ok(), good, "{name} as {kind}: {found:?}");
        if let Ok(mounted) = found {
            assert_eq!(mounted.volumes["h"].path, folder.join(name));
        }
    }
    volumes.unmount("uid-p").await.unwrap();
    assert!(folder.join("dir/f").exists(), "what is the host's stays");
}
