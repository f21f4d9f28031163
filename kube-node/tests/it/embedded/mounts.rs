//! Volumes: read-only ones, and mounts that travel between host and container.

use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};

use kube_node::seam::{Mount, MountPropagation, Runtime};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};

use super::node::{Node, script, skip};

/// A folder of the host that is a file system of its own, with another one, `inner`, in it.
struct Tree(PathBuf);

impl Tree {
    fn new(node: &Node) -> Self {
        let folder = node.dir.path().join("tree");
        fs::create_dir(&folder).unwrap();
        tmpfs(&folder);
        mount_change(&folder, MountPropagationFlags::SHARED).unwrap();
        fs::create_dir(folder.join("inner")).unwrap();
        tmpfs(&folder.join("inner"));
        Self(folder)
    }

    fn mount(&self) -> Mount {
        Mount { host_path: self.0.clone(), container_path: "/tree".into(), ..Mount::default() }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

fn tmpfs(path: &Path) {
    mount("tmpfs", path, "tmpfs", MountFlags::empty(), None::<&CStr>).unwrap();
}

#[tokio::test]
async fn root_readonly_is_for_one_mount_or_for_all_below_it() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let tree = Tree::new(&node);
    let attempt =
        "touch /tree/x 2>/dev/null && echo outer; touch /tree/inner/x 2>/dev/null && echo inner; true";
    for (name, read_only, recursive, expected) in [
        ("rw", false, false, &["outer", "inner"][..]),
        ("ro", true, false, &["inner"]),
        ("rro", true, true, &[]),
    ] {
        let mut config = script(name, attempt);
        config.mounts = vec![Mount { read_only, recursive_read_only: recursive, ..tree.mount() }];
        assert_eq!(node.output(&pod, config).await, expected, "{name}");
    }
    drop(tree);
    node.finish().await;
}

#[tokio::test]
async fn root_mounts_travel_as_far_as_they_are_let() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let tree = Tree::new(&node);
    fs::create_dir(tree.0.join("in")).unwrap();
    let text = "mkdir /tree/$0; mount -t tmpfs none /tree/$0 && echo up
        while ! test -e /tree/go; do sleep 0.02; done; test -e /tree/in/file && echo arrived; true";
    let mut containers = Vec::new();
    for (name, propagation) in [
        ("private", MountPropagation::Private),
        ("slave", MountPropagation::HostToContainer),
        ("shared", MountPropagation::Bidirectional),
    ] {
        let mut config = script(name, text);
        config.command.push(name.into());
        config.linux.security.privileged = true;
        config.mounts = vec![Mount { propagation, ..tree.mount() }];
        let id = node.run(&pod, config).await;
        node.logged(&id, "up").await;
        containers.push((name, id));
    }
    let mounted = |name: &str| {
        let end = format!(" {} ", tree.0.join(name).display());
        fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&end)
    };
    assert_eq!(["private", "slave", "shared"].map(mounted), [false, false, true]);
    tmpfs(&tree.0.join("in"));
    fs::write(tree.0.join("in/file"), "").unwrap();
    fs::write(tree.0.join("go"), "").unwrap();
    for (name, id) in &containers {
        node.ended(id).await;
        let arrived = node.log(id).await.iter().any(|line| line.ends_with("arrived"));
        assert_eq!(arrived, *name != "private", "{name}");
        node.runtime.remove_container(id).await.unwrap();
    }
    drop(tree);
    node.finish().await;
}
