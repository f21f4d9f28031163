//! The life of a container.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use super::identity;
use super::record::{ContainerRecord, End};
use super::runtime::{EmbeddedRuntime, Inner, Sandbox};
use super::sandbox::{hostname, new_id, remove_folder};
use super::spec::{self, Inputs};
use crate::image::{Image, ImageStore};
use crate::seam::{
    ContainerConfig, ContainerId, ContainerReason, ContainerState, ContainerStats, NamespaceMode,
    RuntimeEventKind, SandboxConfig,
};
use crate::shim::{Overlay, Request, StartContainer};
use crate::{Error, Result};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;
/// How long a killed process may take to end before that is an error: it hangs in the kernel.
const KILL_LIMIT: Duration = Duration::from_secs(30);

impl EmbeddedRuntime {
    pub(super) async fn make_container(
        &self,
        sandbox: &str,
        config: &ContainerConfig,
        pod: &SandboxConfig,
    ) -> Result<ContainerId> {
        let found = self.inner.sandbox(sandbox)?;
        if !found.record.ready {
            return Err(Error::Conflict(format!("sandbox {sandbox} is not ready")));
        }
        let image =
            self.inner.images.get(&config.image).ok_or_else(|| Error::not_found("image", &config.image))?;
        let id = new_id();
        let log_path = if config.log_path.as_os_str().is_empty() {
            PathBuf::new()
        } else {
            pod.log_dir.join(&config.log_path)
        };
        let record = ContainerRecord {
            id: id.clone(),
            sandbox: sandbox.to_owned(),
            pod_uid: found.record.config.pod.uid.clone(),
            config: config.clone(),
            image,
            created_at: self.inner.config.clock.now(),
            log_path,
            cgroup: format!("{}/{id}", found.record.cgroup),
            started_at: None,
            pid: None,
            end: None,
        };
        self.inner.register(&record)?;
        if let Err(error) = self.inner.write_bundle(&record, &found) {
            self.delete_container(&id).await?;
            return Err(error);
        }
        self.inner.publish(&record.pod_uid, RuntimeEventKind::ContainerCreated(ContainerId(id.clone())));
        Ok(ContainerId(id))
    }

    pub(super) async fn launch_container(&self, id: &str) -> Result<()> {
        let record = self.inner.container(id)?;
        if record.state() != ContainerState::Created {
            return Err(Error::Conflict(format!("container {id} has been started before")));
        }
        let shim = self.inner.sandbox(&record.sandbox)?.shim;
        let started_at = self.inner.config.clock.now();
        match shim.call(&Request::Start(self.inner.start_request(&record))).await {
            Ok(()) => {
                self.inner.absorb(&record.sandbox, &shim.report().await?);
                self.inner
                    .publish(&record.pod_uid, RuntimeEventKind::ContainerStarted(ContainerId(id.to_owned())));
                Ok(())
            }
            Err(Error::Failed(message)) => {
                let end = End {
                    code: 128,
                    at: started_at,
                    reason: ContainerReason::StartError,
                    message: message.clone(),
                };
                self.inner.end_container(id, end);
                Err(Error::Failed(message))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn halt_container(&self, id: &str, grace: Duration, signal: Option<&str>) -> Result<()> {
        let Ok(record) = self.inner.container(id) else { return Ok(()) };
        if record.state() != ContainerState::Running {
            return Ok(());
        }
        let image_signal = &record.image.config.stop_signal;
        let name = signal.or_else(|| (!image_signal.is_empty()).then_some(image_signal.as_str()));
        if !grace.is_zero() {
            self.signal(&record, name.and_then(signal_number).unwrap_or(SIGTERM)).await?;
            if self.inner.wait_for_end(id, grace).await {
                return Ok(());
            }
        }
        self.signal(&record, SIGKILL).await?;
        if self.inner.wait_for_end(id, KILL_LIMIT).await {
            return Ok(());
        }
        Err(Error::Deadline(format!("container {id} was killed and has not ended")))
    }

    async fn signal(&self, record: &ContainerRecord, signal: i32) -> Result<()> {
        let Ok(sandbox) = self.inner.sandbox(&record.sandbox) else { return Ok(()) };
        match sandbox.shim.call(&Request::Kill { id: record.id.clone(), signal }).await {
            Err(Error::NotFound { .. } | Error::Failed(_)) => Ok(()),
            Err(Error::Unavailable { .. }) => {
                self.inner.abandon(&record.sandbox);
                Ok(())
            }
            other => other,
        }
    }

    pub(super) async fn delete_container(&self, id: &str) -> Result<()> {
        self.halt_container(id, Duration::ZERO, None).await?;
        let Ok(record) = self.inner.container(id) else { return Ok(()) };
        if let Ok(sandbox) = self.inner.sandbox(&record.sandbox) {
            match sandbox.shim.call(&Request::Delete { id: id.to_owned() }).await {
                Ok(()) | Err(Error::Unavailable { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        remove_folder(self.inner.layout.container(&record.sandbox, id)).await?;
        self.inner.state.lock().containers.remove(id);
        self.inner.publish(&record.pod_uid, RuntimeEventKind::ContainerRemoved(ContainerId(id.to_owned())));
        Ok(())
    }
}

impl Inner {
    /// Enters a new container, unless one of its name and attempt is there.
    fn register(&self, record: &ContainerRecord) -> Result<()> {
        let mut state = self.state.lock();
        let same = |other: &&ContainerRecord| {
            other.sandbox == record.sandbox
                && other.config.name == record.config.name
                && other.config.attempt == record.config.attempt
        };
        if let Some(other) = state.containers.values().find(same) {
            let ContainerConfig { name, attempt, .. } = &record.config;
            return Err(Error::Conflict(format!(
                "container {name:?} attempt {attempt} exists as {}",
                other.id
            )));
        }
        let folder = self.layout.container(&record.sandbox, &record.id);
        fs::create_dir(&folder)
            .and_then(|()| self.layout.save_container(record))
            .map_err(Error::io(format!("create container {}", record.id)))?;
        state.containers.insert(record.id.clone(), record.clone());
        Ok(())
    }

    /// Makes what the supervisor will start: `config.json`, `rootfs/`, and the folders of the container's own changes.
    fn write_bundle(&self, record: &ContainerRecord, sandbox: &Sandbox) -> Result<()> {
        let folder = self.layout.container(&record.sandbox, &record.id);
        let failed = |message: String| Error::Failed(message);
        let layers: Vec<PathBuf> =
            layer_names(&record.image).map(|name| self.images.layers_dir().join(name)).collect();
        let security = &record.config.linux.security;
        let identity = identity::resolve(security, &record.image.config.user, &layers).map_err(failed)?;
        let inputs = Inputs {
            config: &record.config,
            image: &record.image.config,
            identity: &identity,
            hostname: &hostname(&sandbox.record.config),
            cgroup: &record.cgroup,
            sandbox: &self.layout.sandbox(&record.sandbox),
            pid_namespace: self.pid_namespace(record)?,
            own_capabilities: self.own_capabilities,
            unified: self.hierarchies.is_unified(),
        };
        let spec = spec::build(&inputs).map_err(failed)?;
        let write = || {
            for name in ["rootfs", "upper", "work"] {
                fs::create_dir(folder.join(name))?;
                fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755))?;
            }
            fs::write(folder.join("config.json"), serde_json::to_vec(&spec)?)
        };
        write().map_err(Error::io(format!("create container {}", record.id)))
    }

    /// The process namespace to join, when the container does not get its own.
    fn pid_namespace(&self, record: &ContainerRecord) -> Result<Option<String>> {
        match &record.config.linux.security.namespaces.pid {
            NamespaceMode::Pod => {
                Ok(Some(self.layout.sandbox(&record.sandbox).join("pid").display().to_string()))
            }
            NamespaceMode::Target(target) => {
                let target = self.container(target)?;
                let pid = target.pid.filter(|_| target.state() == ContainerState::Running);
                let pid =
                    pid.ok_or_else(|| Error::Conflict(format!("container {} is not running", target.id)))?;
                Ok(Some(format!("/proc/{pid}/ns/pid")))
            }
            NamespaceMode::Container | NamespaceMode::Node => Ok(None),
        }
    }

    fn start_request(&self, record: &ContainerRecord) -> StartContainer {
        let folder = self.layout.container(&record.sandbox, &record.id);
        let overlay =
            Overlay::new(layer_names(&record.image).collect(), folder.join("upper"), folder.join("work"));
        let mut request = StartContainer::new(&record.id, folder, overlay, record.cgroup.clone());
        request.log = (!record.log_path.as_os_str().is_empty()).then(|| record.log_path.clone());
        request.tty = record.config.tty;
        request.stdin = record.config.stdin;
        request.stdin_once = record.config.stdin_once;
        request
    }

    /// What a running container uses.
    pub(super) fn measure(&self, record: &ContainerRecord) -> ContainerStats {
        let usage = self.hierarchies.usage(&record.cgroup);
        ContainerStats {
            id: ContainerId(record.id.clone()),
            at: self.config.clock.now(),
            cpu_nanos: usage.cpu_nanos,
            memory_working_set: usage.working_set,
            memory_rss: usage.rss,
            fs_used: folder_bytes(&self.layout.container(&record.sandbox, &record.id).join("upper")),
            pids: usage.pids,
        }
    }
}

/// The layers' folder names, the topmost first.
fn layer_names(image: &Image) -> impl Iterator<Item = String> {
    image.layers.iter().rev().map(|layer| ImageStore::layer_name(layer))
}

fn folder_bytes(folder: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = |entry: fs::DirEntry| {
        let Ok(meta) = entry.metadata() else { return 0 };
        meta.blocks() * 512 + if meta.is_dir() { folder_bytes(&entry.path()) } else { 0 }
    };
    entries.map(bytes).sum()
}

/// A signal's number from its name, with or without `SIG`, or from digits.
fn signal_number(name: &str) -> Option<i32> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    if let Ok(number) = name.parse() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(offset) = short.strip_prefix("RTMIN") {
        return Some(34 + offset.strip_prefix('+').map_or(Some(0), |n| n.parse().ok())?);
    }
    let at = NAMES.iter().position(|known| *known == short)?;
    i32::try_from(at + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (name, expected) in [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("SIGQUIT", Some(3)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(37)),
            ("SIGFOO", None),
        ] {
            assert_eq!(signal_number(name), expected, "{name}");
        }
    }
}
