//! A node for one test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use kube_node::image::{ImageConfig, ImageFile, Source, program_files};
use kube_node::network::{NetworkConfig, RoutedNetwork};
use kube_node::runtime::embedded::{EmbeddedConfig, EmbeddedRuntime};
use kube_node::seam::{
    ContainerConfig, ContainerFilter, ContainerId, ContainerState, ContainerStatus, NamespaceMode,
    NetworkPlugin, PodRef, Runtime, SandboxConfig, SandboxFilter, SandboxId,
};
use rustix::process::Pid;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

/// The image of every test.
pub(crate) const IMAGE: &str = "localhost/tools";

/// A network namespace that lives as long as this value.
pub(crate) struct HostNetwork {
    pub(crate) path: PathBuf,
    _end: Sender<()>,
}

impl HostNetwork {
    pub(crate) fn new() -> Self {
        let (end, ended) = channel::<()>();
        let (send, path) = channel();
        std::thread::spawn(move || {
            unshare_net();
            let thread = rustix::thread::gettid().as_raw_pid();
            send.send(PathBuf::from(format!("/proc/{}/task/{thread}/ns/net", std::process::id()))).unwrap();
            let _ended = ended.recv();
        });
        Self { path: path.recv().unwrap(), _end: end }
    }
}

#[expect(unsafe_code, reason = "unshare is unsafe in rustix because of the file table flag")]
fn unshare_net() {
    // SAFETY: a network namespace concerns no memory and no file descriptor.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
}

/// Runs `act` in the network namespace at `path`, on a thread of its own.
pub(crate) fn in_network<T: Send + 'static>(
    path: &Path,
    act: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    let namespace = fs::File::open(path).unwrap();
    std::thread::spawn(move || {
        use std::os::fd::AsFd;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .unwrap();
        act()
    })
}

/// True, with a word about it, when this process cannot run containers.
pub(crate) fn skip() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        // Not eprintln!, which the test harness keeps to itself.
        let _ =
            std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: running containers needs root\n");
    }
    !root
}

/// A node with a runtime and a network, cleaned up by [`Node::finish`].
pub(crate) struct Node {
    /// Before the folder, so that it still finds what is in there.
    leftovers: Leftovers,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) host: HostNetwork,
    pub(crate) runtime: EmbeddedRuntime,
    pub(crate) network: Arc<RoutedNetwork>,
}

impl Node {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let leftovers = Leftovers(dir.path().to_owned());
        let host = HostNetwork::new();
        let (runtime, network) = open(dir.path(), &host).await;
        build_image(&runtime, IMAGE).await;
        Self { leftovers, dir, host, runtime, network }
    }

    /// The same node after the agent was gone for a while, in which `meanwhile` happens: a new runtime over the same data.
    pub(crate) async fn restart_after(self, meanwhile: impl FnOnce()) -> Self {
        let Self { leftovers, dir, host, runtime, network } = self;
        drop((runtime, network));
        meanwhile();
        let (runtime, network) = open(dir.path(), &host).await;
        Self { leftovers, dir, host, runtime, network }
    }

    pub(crate) fn pod(&self, name: &str) -> SandboxConfig {
        let uid = format!(
            "{name}-{}",
            self.dir.path().file_name().unwrap().to_string_lossy().trim_start_matches('.')
        );
        let mut config = SandboxConfig {
            pod: PodRef { namespace: "default".into(), name: name.into(), uid: uid.clone() },
            hostname: name.into(),
            log_dir: self.dir.path().join("logs").join(name),
            ..SandboxConfig::default()
        };
        config.linux.cgroup_parent = format!("/kube-node-test/pod{uid}");
        config.linux.namespaces.pid = NamespaceMode::Container;
        config
    }

    pub(crate) async fn sandbox(&self, name: &str) -> (SandboxId, SandboxConfig) {
        let config = self.pod(name);
        (self.runtime.run_sandbox(&config).await.unwrap(), config)
    }

    /// Creates and starts a container that runs a shell script.
    pub(crate) async fn run(
        &self,
        sandbox: &(SandboxId, SandboxConfig),
        config: ContainerConfig,
    ) -> ContainerId {
        let id = self.runtime.create_container(&sandbox.0, &config, &sandbox.1).await.unwrap();
        self.runtime.start_container(&id).await.unwrap();
        id
    }

    pub(crate) async fn status(&self, id: &ContainerId) -> ContainerStatus {
        let mut found = self.runtime.containers(&ContainerFilter::by_id(id.clone())).await.unwrap();
        found.pop().expect("the container exists")
    }

    /// Waits for the container's end.
    pub(crate) async fn ended(&self, id: &ContainerId) -> ContainerStatus {
        let ended = async {
            loop {
                let status = self.status(id).await;
                if status.state == ContainerState::Exited {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended).await.expect("the container ends")
    }

    /// The log's text: stream, tag and line of each entry.
    pub(crate) async fn log(&self, id: &ContainerId) -> Vec<String> {
        let text = fs::read_to_string(self.status(id).await.log_path).unwrap_or_default();
        text.lines().map(|line| line.split_once(' ').map_or(line, |(_, rest)| rest).to_owned()).collect()
    }

    /// Runs a container to its end and returns what it printed.
    pub(crate) async fn output(
        &self,
        sandbox: &(SandboxId, SandboxConfig),
        config: ContainerConfig,
    ) -> Vec<String> {
        let id = self.run(sandbox, config).await;
        self.ended(&id).await;
        let log = self.log(&id).await;
        log.iter().filter_map(|line| Some(line.splitn(3, ' ').nth(2)?.to_owned())).collect()
    }

    /// Tries to start a container and returns why it could not be.
    pub(crate) async fn refusal(
        &self,
        sandbox: &(SandboxId, SandboxConfig),
        config: ContainerConfig,
    ) -> String {
        let id = self.runtime.create_container(&sandbox.0, &config, &sandbox.1).await.unwrap();
        self.runtime.start_container(&id).await.unwrap_err().to_string()
    }

    /// Waits until the log has a line that ends with `text`.
    pub(crate) async fn logged(&self, id: &ContainerId, text: &str) {
        let found = async {
            while !self.log(id).await.iter().any(|line| line.ends_with(text)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), found)
            .await
            .unwrap_or_else(|_| panic!("{text:?} is logged"));
    }

    /// Removes everything and checks that nothing is left on the machine.
    pub(crate) async fn finish(self) {
        for sandbox in self.runtime.sandboxes(&SandboxFilter::default()).await.unwrap() {
            self.runtime.remove_sandbox(&sandbox.id).await.unwrap();
        }
        let data = self.dir.path().to_string_lossy().into_owned();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&data), "a mount is left: {mounts}");
        assert_eq!(processes_with(&data), Vec::<String>::new(), "a process is left");
        assert_eq!(
            fs::read_dir(self.dir.path().join("run/netns")).unwrap().count(),
            0,
            "a network namespace is left"
        );
        assert_eq!(
            fs::read_dir(self.dir.path().join("network/leases")).unwrap().count(),
            0,
            "an address is left"
        );
        assert_eq!(groups_with(self.dir.path()), Vec::<PathBuf>::new(), "a cgroup is left");
        for root in test_groups() {
            // Other tests may still be in it.
            let _busy = fs::remove_dir(root);
        }
    }
}

/// Ends what a failed test left running.
struct Leftovers(PathBuf);

impl Drop for Leftovers {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        kill_supervisors(&self.0);
        for group in groups_with(&self.0) {
            for below in fs::read_dir(&group).into_iter().flatten().flatten() {
                let procs = fs::read_to_string(below.path().join("cgroup.procs")).unwrap_or_default();
                procs.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).for_each(kill);
            }
        }
        for mount in fs::read_dir(self.0.join("run/netns")).into_iter().flatten().flatten() {
            let _absent = rustix::mount::unmount(mount.path(), rustix::mount::UnmountFlags::DETACH);
        }
    }
}

fn kill(pid: Pid) {
    let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

/// Kills the supervisors of the node at `dir`, as they name themselves in their state files.
pub(crate) fn kill_supervisors(dir: &Path) {
    for sandbox in fs::read_dir(dir.join("sandboxes")).into_iter().flatten().flatten() {
        let state = fs::read_to_string(sandbox.path().join("state.json")).unwrap_or_default();
        let pid = state.strip_prefix("{\"pid\":").and_then(|rest| rest.split(',').next()?.parse().ok());
        pid.and_then(Pid::from_raw).into_iter().for_each(kill);
    }
}

fn processes_with(text: &str) -> Vec<String> {
    let commands = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    commands.filter(|command| command.contains(text)).collect()
}

fn test_groups() -> Vec<PathBuf> {
    let roots =
        fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path().join("kube-node-test"));
    roots.chain([PathBuf::from("/sys/fs/cgroup/kube-node-test")]).collect()
}

fn groups_with(dir: &Path) -> Vec<PathBuf> {
    let name = dir.file_name().unwrap().to_string_lossy().trim_start_matches('.').to_owned();
    let groups = test_groups().into_iter().flat_map(fs::read_dir).flatten().flatten();
    groups.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains(&name)).collect()
}

async fn open(dir: &Path, host: &HostNetwork) -> (EmbeddedRuntime, Arc<RoutedNetwork>) {
    let mut network = NetworkConfig::new(dir.join("network"));
    network.host_netns = Some(host.path.clone());
    let network = Arc::new(RoutedNetwork::open(network).unwrap());
    network.configure(&["10.99.0.0/24".parse().unwrap()]).await.unwrap();
    let mut config = EmbeddedConfig::new(dir.to_owned(), network.clone());
    let args = ["embedded::supervisor_entry", "--exact", "--nocapture", "--test-threads=1"];
    config.shim_args = args.map(str::to_owned).to_vec();
    (EmbeddedRuntime::open(config).await.unwrap(), network)
}

/// An image of this machine's shell and some tools. It has none of the folders that are mounted in every container.
pub(crate) async fn build_image(runtime: &EmbeddedRuntime, name: &str) {
    build_image_with(runtime, name, Vec::new()).await;
}

/// The same with more files.
pub(crate) async fn build_image_with(runtime: &EmbeddedRuntime, name: &str, more: Vec<ImageFile>) {
    let mut files: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for tool in [
        "sh", "cat", "sleep", "id", "hostname", "tail", "head", "tty", "stty", "mkdir", "ls", "touch", "env",
        "dd", "mknod", "mount",
    ] {
        let host =
            ["/bin", "/usr/bin"].iter().map(|folder| Path::new(folder).join(tool)).find(|path| path.exists());
        let Some(host) = host.and_then(|path| fs::canonicalize(path).ok()) else { continue };
        files.extend(program_files(&host).unwrap());
        files.insert(Path::new("/bin").join(tool), host);
    }
    let host = |(path, host)| ImageFile { path, source: Source::Host(host), mode: 0o755 };
    let mut files: Vec<ImageFile> = files.into_iter().map(host).collect();
    let passwd = b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/srv:/bin/sh\n".to_vec();
    files.push(ImageFile { path: "/etc/passwd".into(), source: Source::Bytes(passwd), mode: 0o644 });
    files.extend(more);
    let config = ImageConfig { env: vec!["PATH=/bin".into()], ..ImageConfig::default() };
    runtime.image_store().build(name, files, config).await.unwrap();
}

/// A container that runs a shell script, with a log.
pub(crate) fn script(name: &str, text: &str) -> ContainerConfig {
    let mut config = ContainerConfig {
        name: name.into(),
        image: IMAGE.into(),
        user_image: IMAGE.into(),
        command: ["sh", "-c", text].map(str::to_owned).to_vec(),
        log_path: format!("{name}.log").into(),
        ..ContainerConfig::default()
    };
    config.linux.security.namespaces.pid = NamespaceMode::Container;
    config
}
