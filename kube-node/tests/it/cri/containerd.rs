use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kube_node::adapter::cri::CriRuntime;
use kube_node::seam::Runtime;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::image;

pub(crate) const IMAGE: &str = "localhost/busybox:test";

/// A containerd of the test's own: its own directories, socket, mount, network and process namespaces. It ends with the value, and so does
/// everything that runs in it.
pub(crate) struct Containerd {
    child: Child,
    pub(crate) runtime: CriRuntime,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) busybox: PathBuf,
}

/// What the test wants of the machine, or why it can't run here.
fn requirements() -> Result<PathBuf, &'static str> {
    let installed = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().map(PathBuf::from).find(|p| p.exists());
    match (rustix::process::geteuid().is_root(), installed("containerd") && installed("runc"), busybox) {
        (false, ..) => Err("it needs root"),
        (_, false, _) => Err("it needs containerd and runc"),
        (.., None) => Err("it needs busybox-static"),
        (.., Some(busybox)) => Ok(busybox),
    }
}

impl Containerd {
    /// Starts containerd, or says on stderr why the calling test is skipped. The calling thread moves into containerd's network namespace, where its
    /// streaming server listens; a test's runtime and its connections stay on that thread.
    pub(crate) async fn start() -> Option<Self> {
        let busybox = match requirements() {
            Ok(busybox) => busybox,
            Err(reason) => {
                // Not eprintln!, which the test harness keeps to itself.
                let _ = writeln!(std::io::stderr(), "SKIPPED: {reason}");
                return None;
            }
        };
        let dir = tempfile::tempdir().unwrap();
        write_config(dir.path());
        let child = spawn(dir.path());
        let socket = dir.path().join("containerd.sock");
        let runtime = connect(&socket).await;
        import(dir.path(), &busybox, IMAGE);
        let network = std::fs::File::open(format!("/proc/{}/ns/net", child.id())).unwrap();
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        Some(Self { child, runtime, dir, busybox })
    }
}

/// Adds the image of the tests under this name.
pub(crate) fn import(dir: &Path, busybox: &Path, name: &str) {
    let archive = dir.join("busybox.tar");
    image::busybox_archive(&archive, name, busybox).unwrap();
    let import = Command::new("ctr")
        .args(["--address", &dir.join("containerd.sock").to_string_lossy()])
        .args(["--namespace", "k8s.io", "images", "import"])
        .arg(&archive)
        .output()
        .unwrap();
    assert!(import.status.success(), "{import:?}");
}

fn write_config(dir: &Path) {
    let root = dir.display();
    let config = format!(
        r#"version = 2
root = "{root}/root"
state = "{root}/state"
[grpc]
  address = "{root}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{root}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
"#
    );
    std::fs::write(dir.join("config.toml"), config).unwrap();
    std::fs::create_dir(dir.join("cni")).unwrap();
    let network = r#"{"cniVersion":"0.4.0","name":"test","plugins":[{"type":"ptp","ipam":{"type":"host-local","ranges":[[{"subnet":"10.214.0.0/24"}]],"dataDir":"DIR/ipam"}}]}"#;
    std::fs::write(dir.join("cni/10-test.conflist"), network.replace("DIR", &root.to_string())).unwrap();
}

fn spawn(dir: &Path) -> Child {
    let log = std::fs::File::create(dir.join("containerd.log")).unwrap();
    Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--mount-proc", "--kill-child", "--fork", "sh", "-c"])
        .args(["ip link set lo up && exec \"$@\"", "sh"])
        .args(["containerd", "--config", &dir.join("config.toml").to_string_lossy()])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

async fn connect(socket: &Path) -> CriRuntime {
    let started = tokio::time::Instant::now();
    loop {
        let error = match CriRuntime::connect(socket).await {
            Ok(runtime) => match runtime.info().await {
                Ok(info) if info.ready => return runtime,
                Ok(info) => format!("{info:?}"),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        assert!(started.elapsed().as_secs() < 60, "containerd does not answer: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // unshare passes the end on to the first process of the namespace, and the kernel to all others.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
