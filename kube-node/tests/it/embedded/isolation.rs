//! What a container can see and do, and what a hostile image can not.

use std::fs;
use std::path::{Path, PathBuf};

use kube_node::image::{ImageFile, Source};
use kube_node::seam::Mount;
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::node::{IMAGE, Node, build_image_with, script, skip};

fn file(path: &str, source: Source) -> ImageFile {
    ImageFile { path: path.into(), source, mode: 0o755 }
}

/// A folder of the host with one file, `file`, that says `content`.
fn volume(node: &Node, name: &str) -> PathBuf {
    let folder = node.dir.path().join(name);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), "content\n").unwrap();
    folder
}

fn mount(host: &Path, container: &str) -> Mount {
    Mount { host_path: host.to_owned(), container_path: container.into(), ..Mount::default() }
}

#[tokio::test]
async fn root_links_in_an_image_or_volume_lead_no_mount_to_the_host() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let outside = node.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let up = Path::new("../../../../../../../..").join(outside.strip_prefix("/").unwrap());
    let files = vec![file("/absolute", Source::Link(outside.clone())), file("/etc/up", Source::Link(up))];
    build_image_with(&node.runtime, IMAGE, files).await;
    let pod = node.sandbox("web").await;
    let volume = volume(&node, "volume");
    std::os::unix::fs::symlink(&outside, volume.join("link")).unwrap();
    let mut config = script("c", "cat /absolute/a/file /etc/up/b /data/link/c/file");
    config.mounts = vec![
        mount(&volume, "/absolute/a"),
        mount(&volume.join("file"), "/etc/up/b"),
        mount(&volume, "/data"),
        mount(&volume, "/data/link/c"),
    ];
    assert_eq!(node.output(&pod, config).await, ["content"; 3]);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "something was made on the host");
    node.finish().await;
}

#[tokio::test]
async fn root_the_process_file_system_is_not_mounted_elsewhere_nor_covered() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let volume = volume(&node, "volume");
    let mut config = script("covered", "true");
    config.mounts = vec![mount(&volume, "/proc/self")];
    let refusal = node.refusal(&pod, config).await;
    assert!(refusal.contains("/proc/self") && refusal.contains("inside"), "{refusal}");
    let mut config = script("root", "true");
    config.mounts = vec![mount(&volume, "/bin/..")];
    assert!(node.refusal(&pod, config).await.contains("is the root"));
    build_image_with(&node.runtime, IMAGE, vec![file("/proc", Source::Link("/etc".into()))]).await;
    let refusal = node.refusal(&pod, script("linked", "true")).await;
    assert!(refusal.contains("/proc") && refusal.contains("symbolic link"), "{refusal}");
    node.finish().await;
}

#[tokio::test]
async fn root_masked_paths_are_empty_and_readonly_ones_readonly() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let files = vec![
        file("/secret/file", Source::Bytes(b"secret".to_vec())),
        file("/secrets", Source::Bytes(b"secret".to_vec())),
        file("/fixed/file", Source::Bytes(b"fixed\n".to_vec())),
    ];
    build_image_with(&node.runtime, IMAGE, files).await;
    let pod = node.sandbox("web").await;
    let mut config = script(
        "c",
        "ls -A /secret; cat /secrets; touch /secret/x 2>/dev/null || echo sealed; cat /fixed/file
        (touch /fixed/x) 2>&1 | tail -c 22; (echo x > /proc/sys/kernel/hostname) 2>&1 | tail -c 22",
    );
    let security = &mut config.linux.security;
    security.masked_paths = ["/secret", "/secrets", "/no/such"].map(str::to_owned).to_vec();
    security.readonly_paths = ["/fixed", "/proc/sys", "/no/such"].map(str::to_owned).to_vec();
    let output = node.output(&pod, config.clone()).await;
    assert_eq!(output, ["sealed", "fixed", "Read-only file system", "Read-only file system"]);
    // A privileged container has the paths as they are.
    config.name = "privileged".into();
    config.log_path = "privileged.log".into();
    config.linux.security.privileged = true;
    assert_eq!(node.output(&pod, config).await[0], "file");
    node.finish().await;
}

#[tokio::test]
async fn root_a_process_has_its_rights_and_no_more() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let root = node.output(&pod, script("root", "cat /proc/self/status; umask")).await;
    for line in ["CapBnd:\t00000000a80425fb", "CapEff:\t00000000a80425fb", "CapInh:\t0000000000000000"] {
        assert!(root.contains(&line.to_owned()), "{line:?} is in {root:#?}");
    }
    for line in ["SigBlk:\t0000000000000000", "NoNewPrivs:\t0", "0022"] {
        assert!(root.contains(&line.to_owned()), "{line:?} is in {root:#?}");
    }
    // The C library keeps 32 and 33 to itself, and so they stay as this test found them.
    let ignored = root.iter().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & !(3 << 31), 0, "signals are ignored");
    let mut config = script("user", "cat /proc/self/status");
    config.linux.security.run_as_user = Some(33);
    config.linux.security.supplemental_groups = vec![2000];
    let user = node.output(&pod, config).await;
    for line in ["CapBnd:\t00000000a80425fb", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000"] {
        assert!(user.contains(&line.to_owned()), "{line:?} is in {user:#?}");
    }
    for line in ["Uid:\t33\t33\t33\t33", "Gid:\t33\t33\t33\t33", "Groups:\t2000 "] {
        assert!(user.contains(&line.to_owned()), "{line:?} is in {user:#?}");
    }
    node.finish().await;
}

#[tokio::test]
async fn root_a_process_has_its_standard_streams_and_no_other_files() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    // The third is the folder that `ls` reads.
    assert_eq!(node.output(&pod, script("c", "exec ls /proc/self/fd")).await, ["0", "1", "2", "3"]);
    // Its own user may open them anew.
    let mut config = script("user", "echo again > /dev/stdout");
    config.linux.security.run_as_user = Some(33);
    assert_eq!(node.output(&pod, config).await, ["again"]);
    node.finish().await;
}

#[tokio::test]
async fn root_standard_devices_are_there_and_others_are_denied() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let listed = node
        .output(
            &pod,
            script("list", "ls /dev; head -c 2 /dev/zero | tail -c 2 >/dev/null && echo zero; cat /dev/fd/0"),
        )
        .await;
    let expected = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero zero";
    assert_eq!(listed.join(" "), expected);
    let denied = script(
        "denied",
        "mknod /d b 254 0; head -c 1 /d >/dev/null 2>/denial; tail -c 24 /denial; mknod /n c 1 3 && echo x >/n && echo null",
    );
    if Path::new("/sys/fs/cgroup/devices").exists() {
        assert_eq!(node.output(&pod, denied).await, ["Operation not permitted", "null"]);
    }
    node.finish().await;
}

#[tokio::test]
async fn root_the_working_directory_is_made_and_never_outside() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let mut config = script("made", "pwd");
    config.working_dir = "/new/folder".into();
    config.linux.security.readonly_rootfs = true;
    assert_eq!(node.output(&pod, config).await, ["/new/folder"]);
    for descriptor in 3..24 {
        let mut config = script(&format!("leak-{descriptor}"), "true");
        config.working_dir = format!("/proc/self/fd/{descriptor}");
        let refusal = node.refusal(&pod, config).await;
        assert!(refusal.contains(&format!("/proc/self/fd/{descriptor}")), "{refusal}");
    }
    node.finish().await;
}

#[tokio::test]
async fn root_a_container_sees_its_own_limits() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let mut config = script(
        "c",
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max pids/pids.max pids.max cpu/cpu.shares cpu.weight 2>/dev/null
        mkdir memory/x x 2>/dev/null || echo readonly",
    );
    config.linux.resources.memory_limit = Some(64 << 20);
    config.linux.resources.pids_limit = Some(50);
    config.linux.resources.cpu_shares = Some(512);
    let output = node.output(&pod, config).await;
    let version1 = Path::new("/sys/fs/cgroup/memory").exists();
    assert_eq!(output, ["67108864", "50", if version1 { "512" } else { "20" }, "readonly"]);
    node.finish().await;
}

#[tokio::test]
async fn root_the_supervisors_program_cannot_be_written_through_its_processes() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let state =
        fs::read_to_string(node.dir.path().join("sandboxes").join(&pod.0.0).join("state.json")).unwrap();
    let pid = state.strip_prefix("{\"pid\":").and_then(|rest| rest.split(',').next()).unwrap();
    let flags = statvfs(format!("/proc/{pid}/exe")).unwrap().f_flag;
    assert!(flags.contains(StatVfsMountFlags::RDONLY), "{flags:?}");
    assert!(!statvfs("/proc/self/exe").unwrap().f_flag.contains(StatVfsMountFlags::RDONLY));
    node.finish().await;
}
