//! What is kept on disk: `sandboxes/<id>/sandbox.json` and `sandboxes/<id>/containers/<id>/container.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::seam::{
    ContainerConfig, ContainerId, ContainerReason, ContainerState, ContainerStatus, NetworkStatus,
    SandboxConfig, SandboxId, SandboxState, SandboxStatus,
};
use crate::shim::Exit;

/// A sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SandboxRecord {
    pub(super) id: String,
    pub(super) config: SandboxConfig,
    pub(super) created_at: Timestamp,
    pub(super) ready: bool,
    pub(super) cgroup: String,
    pub(super) network: Option<NetworkStatus>,
}

impl SandboxRecord {
    pub(super) fn status(&self) -> SandboxStatus {
        let ips = self.network.iter().flat_map(|network| &network.ips).map(ipnet::IpNet::addr).collect();
        SandboxStatus {
            id: SandboxId(self.id.clone()),
            pod: self.config.pod.clone(),
            attempt: self.config.attempt,
            state: if self.ready { SandboxState::Ready } else { SandboxState::NotReady },
            created_at: self.created_at,
            ips,
            labels: self.config.labels.clone(),
            annotations: self.config.annotations.clone(),
        }
    }
}

/// A container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ContainerRecord {
    pub(super) id: String,
    pub(super) sandbox: String,
    pub(super) pod_uid: String,
    pub(super) config: ContainerConfig,
    pub(super) image: Image,
    pub(super) created_at: Timestamp,
    pub(super) log_path: PathBuf,
    pub(super) cgroup: String,
    pub(super) started_at: Option<Timestamp>,
    pub(super) pid: Option<i32>,
    pub(super) end: Option<End>,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) code: i32,
    pub(super) at: Timestamp,
    pub(super) reason: ContainerReason,
    pub(super) message: String,
}

impl From<Exit> for End {
    fn from(exit: Exit) -> Self {
        let reason = match exit.code {
            0 => ContainerReason::Completed,
            137 if exit.oom => ContainerReason::OomKilled,
            _ => ContainerReason::Error,
        };
        Self { code: exit.code, at: exit.at, reason, message: String::new() }
    }
}

impl ContainerRecord {
    pub(super) fn state(&self) -> ContainerState {
        match (&self.end, self.started_at) {
            (Some(_), _) => ContainerState::Exited,
            (None, Some(_)) => ContainerState::Running,
            (None, None) => ContainerState::Created,
        }
    }

    pub(super) fn status(&self) -> ContainerStatus {
        let end = self.end.as_ref();
        ContainerStatus {
            id: ContainerId(self.id.clone()),
            sandbox: SandboxId(self.sandbox.clone()),
            name: self.config.name.clone(),
            attempt: self.config.attempt,
            state: self.state(),
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: end.map(|end| end.at),
            exit_code: end.map_or(0, |end| end.code),
            reason: end.map_or(ContainerReason::None, |end| end.reason),
            message: end.map(|end| end.message.clone()).unwrap_or_default(),
            image: self.config.user_image.clone(),
            image_ref: self.image.digests.first().unwrap_or(&self.image.id).clone(),
            labels: self.config.labels.clone(),
            annotations: self.config.annotations.clone(),
            log_path: self.log_path.clone(),
        }
    }
}

/// Where things are below the data folder.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) data: PathBuf,
}

impl Layout {
    pub(super) fn sandboxes(&self) -> PathBuf {
        self.data.join("sandboxes")
    }

    pub(super) fn sandbox(&self, id: &str) -> PathBuf {
        self.sandboxes().join(id)
    }

    pub(super) fn containers(&self, sandbox: &str) -> PathBuf {
        self.sandbox(sandbox).join("containers")
    }

    pub(super) fn container(&self, sandbox: &str, id: &str) -> PathBuf {
        self.containers(sandbox).join(id)
    }

    pub(super) fn netns_dir(&self) -> PathBuf {
        self.data.join("run/netns")
    }

    pub(super) fn netns(&self, sandbox: &str) -> PathBuf {
        self.netns_dir().join(sandbox)
    }

    pub(super) fn save_sandbox(&self, record: &SandboxRecord) -> io::Result<()> {
        save(&self.sandbox(&record.id).join("sandbox.json"), record)
    }

    pub(super) fn save_container(&self, record: &ContainerRecord) -> io::Result<()> {
        save(&self.container(&record.sandbox, &record.id).join("container.json"), record)
    }

    /// Everything on disk; a record that cannot be read is left out, with a warning, and its folder stays.
    pub(super) fn load(&self) -> (Vec<SandboxRecord>, Vec<ContainerRecord>) {
        let sandboxes: Vec<SandboxRecord> = load_all(&self.sandboxes(), "sandbox.json");
        let containers = sandboxes
            .iter()
            .flat_map(|sandbox| load_all(&self.containers(&sandbox.id), "container.json"))
            .collect();
        (sandboxes, containers)
    }
}

fn save(path: &Path, record: &impl Serialize) -> io::Result<()> {
    let fresh = path.with_extension("new");
    fs::write(&fresh, serde_json::to_vec(record)?)?;
    fs::rename(&fresh, path)
}

fn load_all<T: DeserializeOwned>(folder: &Path, file: &str) -> Vec<T> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let load = |path: PathBuf| match fs::read(&path).and_then(|text| Ok(serde_json::from_slice(&text)?)) {
        Ok(record) => Some(record),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "unreadable record");
            None
        }
    };
    entries.filter_map(|entry| load(entry.path().join(file))).collect()
}
