use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cri_client::Client;

use crate::image;

/// A containerd of the test's own: its own directories, socket, mount and network namespaces. Ends with the value.
pub(crate) struct Containerd {
    child: Child,
    pub(crate) client: Client,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) const IMAGE: &str = "localhost/busybox:test";

/// What the test wants of the machine, or why it can't run here.
fn requirements() -> Result<PathBuf, &'static str> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
    let installed = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().map(PathBuf::from).find(|p| p.exists());
    match (root, installed("containerd") && installed("runc"), busybox) {
        (false, ..) => Err("it needs root"),
        (_, false, _) => Err("it needs containerd and runc"),
        (.., None) => Err("it needs busybox-static"),
        (.., Some(busybox)) => Ok(busybox),
    }
}

impl Containerd {
    /// Starts containerd, or says on stderr why the calling test is skipped.
    pub(crate) async fn start() -> Option<Self> {
        let busybox = match requirements() {
            Ok(busybox) => busybox,
            Err(reason) => {
                // Not eprintln!, which the test harness keeps to itself.
                let _ = writeln!(std::io::stderr(), "SKIPPED: {reason}");
                return None;
            }
        };
        let dir = tempfile::tempdir().expect("a temporary directory");
        write_config(dir.path());
        let child = spawn(dir.path());
        let socket = dir.path().join("containerd.sock");
        let client = connect(&socket).await;
        let archive = dir.path().join("busybox.tar");
        image::busybox_archive(&archive, IMAGE, &busybox).expect("the image is written");
        let import = Command::new("ctr")
            .args(["--address", &socket.to_string_lossy(), "--namespace", "k8s.io", "images", "import"])
            .arg(&archive)
            .output()
            .expect("ctr runs");
        assert!(import.status.success(), "{import:?}");
        Some(Self { child, client, dir })
    }
}

impl Containerd {
    /// Connects to a TCP address inside containerd's network namespace. A thread joins the namespace for it, since
    /// namespaces belong to threads.
    pub(crate) async fn dial(&self, address: &str) -> tokio::net::TcpStream {
        let (namespace, address) = (format!("/proc/{}/ns/net", self.child.id()), address.to_owned());
        let thread = std::thread::spawn(move || {
            let namespace = std::fs::File::open(namespace).expect("the namespace is there");
            rustix::thread::move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&namespace),
                Some(rustix::thread::LinkNameSpaceType::Network),
            )
            .expect("the thread joins it");
            std::net::TcpStream::connect(address).expect("containerd listens")
        });
        let stream = thread.join().expect("the thread ends well");
        stream.set_nonblocking(true).expect("the socket takes it");
        tokio::net::TcpStream::from_std(stream).expect("tokio takes it")
    }
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
    std::fs::write(dir.join("config.toml"), config).expect("the configuration is written");
    std::fs::create_dir(dir.join("cni")).expect("the CNI directory is made");
    let network = r#"{"cniVersion":"0.4.0","name":"test","plugins":[{"type":"ptp","ipam":{"type":"host-local","ranges":[[{"subnet":"10.213.0.0/24"}]],"dataDir":"DIR/ipam"}}]}"#;
    let network = network.replace("DIR", &root.to_string());
    std::fs::write(dir.join("cni/10-test.conflist"), network).expect("the network is written");
}

fn spawn(dir: &Path) -> Child {
    let log = std::fs::File::create(dir.join("containerd.log")).expect("a log file");
    Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--kill-child",
            "--fork",
            "sh",
            "-c",
            "ip link set lo up && exec \"$@\"",
            "sh",
        ])
        .args(["containerd", "--config", &dir.join("config.toml").to_string_lossy()])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("containerd starts")
}

async fn connect(socket: &Path) -> Client {
    let started = tokio::time::Instant::now();
    loop {
        let error = match Client::connect(socket, Default::default()).await {
            Ok(client) => match client.version(Default::default()).await {
                Ok(_) => return client,
                Err(error) => error,
            },
            Err(error) => error,
        };
        assert!(started.elapsed().as_secs() < 60, "containerd does not answer: {error}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // unshare passes the end on to its child, and the pods are removed by the test before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
