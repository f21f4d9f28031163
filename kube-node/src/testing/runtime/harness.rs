use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::seam::{
    ContainerConfig, ContainerFilter, ContainerId, ContainerState, ContainerStatus, NamespaceMode, PodRef,
    Runtime, SandboxConfig, SandboxFilter, SandboxId, SandboxStatus,
};

/// Longer than anything takes that ends at all.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// What a container of the suite runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// A name of an image that is there, as a user would write it.
    pub image: String,
    /// Program and arguments; empty runs the image's own.
    pub command: Vec<String>,
}

/// A runtime to examine, with what the suite needs to know about its machine.
#[derive(Clone)]
pub struct RuntimeHarness {
    /// The runtime.
    pub runtime: Arc<dyn Runtime>,
    /// A folder for logs that runtime and suite both see.
    pub logs: PathBuf,
    /// The parent of the pods' cgroups; empty lets the runtime choose.
    pub cgroup_parent: String,
    /// Prints the line `up`, then runs until it gets the stop signal, and ends with 0.
    pub polite: Workload,
    /// Prints the line `up`, then runs whatever signal it gets.
    pub deaf: Workload,
    /// Prints the line `up` and ends with exit code 3.
    pub exits: Workload,
    /// Prints every line that it reads, until it is killed.
    pub echoes: Workload,
    /// Cannot be executed.
    pub broken: Workload,
    /// A command that prints what it reads until the end of its input, run in [`polite`](Self::polite) as all commands.
    pub cat: Vec<String>,
    /// A command that prints `out` on standard output and `err` on standard error, both with a line feed, and ends with exit code 5.
    pub fails: Vec<String>,
    /// A command that takes at least ten minutes.
    pub lasts: Vec<String>,
    /// Whether the runtime can tell a command the end of its input. CRI runtimes can't that stream in a version before `v5.channel.k8s.io`.
    pub ends_input: bool,
}

impl std::fmt::Debug for RuntimeHarness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuntimeHarness").field("logs", &self.logs).finish_non_exhaustive()
    }
}

impl RuntimeHarness {
    /// A harness whose workloads are scripts for the `shell` (program and arguments before `-c`) of `image`, which also has `cat` and `sleep`.
    pub fn with_shell(runtime: Arc<dyn Runtime>, image: &str, shell: &[&str], logs: PathBuf) -> Self {
        let command = |script: &str| {
            let words = shell.iter().copied().chain(["-c", script]);
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        let workload = |script: &str| Workload { image: image.to_owned(), command: command(script) };
        Self {
            runtime,
            logs,
            cgroup_parent: String::new(),
            polite: workload("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"),
            deaf: workload("trap '' TERM; echo up; while :; do sleep 0.05; done"),
            exits: workload("echo up; exit 3"),
            echoes: workload("while read line; do echo \"$line\"; done; while :; do sleep 1; done"),
            broken: Workload { image: image.to_owned(), command: vec!["/no/such/program".to_owned()] },
            cat: command("cat"),
            fails: command("echo out; echo err >&2; exit 5"),
            lasts: command("sleep 1000"),
            ends_input: true,
        }
    }

    /// A pod of the suite.
    pub(super) fn pod_config(&self, name: &str) -> SandboxConfig {
        let uid = format!("uid-{name}");
        let mut config = SandboxConfig {
            pod: PodRef { namespace: "conformance".into(), name: name.into(), uid: uid.clone() },
            hostname: name.into(),
            log_dir: self.logs.join(name),
            labels: [("io.kubernetes.pod.uid".to_owned(), uid.clone()), ("app".into(), name.into())].into(),
            annotations: [("note".to_owned(), "any text: \u{fc} = {}".to_owned())].into(),
            ..SandboxConfig::default()
        };
        if !self.cgroup_parent.is_empty() {
            config.linux.cgroup_parent = format!("{}/pod{uid}", self.cgroup_parent);
        }
        config.linux.namespaces.pid = NamespaceMode::Container;
        config
    }

    pub(super) async fn pod(&self, name: &str) -> SuitePod<'_> {
        let config = self.pod_config(name);
        let id = self.runtime.run_sandbox(&config).await.unwrap();
        SuitePod { harness: self, id, config }
    }

    /// Checks that nothing of the suite is left.
    pub(super) async fn is_empty(&self) {
        assert_eq!(self.runtime.sandboxes(&SandboxFilter::default()).await.unwrap(), []);
        assert_eq!(self.runtime.containers(&ContainerFilter::default()).await.unwrap(), []);
    }
}

/// A sandbox of the suite.
pub(super) struct SuitePod<'a> {
    pub(super) harness: &'a RuntimeHarness,
    pub(super) id: SandboxId,
    pub(super) config: SandboxConfig,
}

impl SuitePod<'_> {
    pub(super) async fn status(&self) -> Option<SandboxStatus> {
        let filter = SandboxFilter { id: Some(self.id.clone()), ..SandboxFilter::default() };
        self.harness.runtime.sandboxes(&filter).await.unwrap().pop()
    }

    /// What to make a container of.
    pub(super) async fn config(&self, name: &str, workload: &Workload) -> ContainerConfig {
        let image = self.harness.runtime.images().status(&workload.image).await.unwrap();
        let mut config = ContainerConfig {
            name: name.into(),
            image: image.unwrap_or_else(|| panic!("the image {} is there", workload.image)).id,
            user_image: workload.image.clone(),
            command: workload.command.clone(),
            log_path: format!("{name}/0.log").into(),
            labels: [("io.kubernetes.container.name".to_owned(), name.to_owned())].into(),
            annotations: [("hash".to_owned(), "{\"a\": 1}".to_owned())].into(),
            ..ContainerConfig::default()
        };
        config.linux.security.namespaces.pid = NamespaceMode::Container;
        config
    }

    pub(super) async fn create(&self, name: &str, workload: &Workload) -> ContainerId {
        let config = self.config(name, workload).await;
        self.harness.runtime.create_container(&self.id, &config, &self.config).await.unwrap()
    }

    pub(super) async fn run(&self, name: &str, workload: &Workload) -> ContainerId {
        let id = self.create(name, workload).await;
        self.harness.runtime.start_container(&id).await.unwrap();
        id
    }

    /// As [`run`](Self::run), until the workload says that it is up.
    pub(super) async fn run_up(&self, name: &str, workload: &Workload) -> ContainerId {
        let id = self.run(name, workload).await;
        let log = self.container(&id).await.log_path;
        let is_up = async || std::fs::read_to_string(&log).unwrap_or_default().contains(" stdout F up\n");
        until(&format!("{name} prints up into {}", log.display()), is_up).await;
        id
    }

    pub(super) async fn containers(&self) -> Vec<ContainerStatus> {
        let filter = ContainerFilter { sandbox: Some(self.id.clone()), ..ContainerFilter::default() };
        self.harness.runtime.containers(&filter).await.unwrap()
    }

    pub(super) async fn container(&self, id: &ContainerId) -> ContainerStatus {
        let filter = ContainerFilter::by_id(id.clone());
        let found = self.harness.runtime.containers(&filter).await.unwrap().pop();
        found.unwrap_or_else(|| panic!("container {id} is listed"))
    }

    /// Waits for a container's end.
    pub(super) async fn ended(&self, id: &ContainerId) -> ContainerStatus {
        until("the container ends", async || self.container(id).await.state == ContainerState::Exited).await;
        self.container(id).await
    }

    pub(super) async fn remove(self) {
        self.harness.runtime.remove_sandbox(&self.id).await.unwrap();
        assert_eq!(self.status().await, None, "a removed sandbox is not listed");
        assert_eq!(self.containers().await, [], "a removed sandbox takes its containers along");
    }
}

/// Waits for a condition.
pub(super) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("within {LIMIT:?}, {what}"));
}

/// Waits for something that must not take for ever.
pub(super) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| panic!("within {LIMIT:?}, {what}"))
}
