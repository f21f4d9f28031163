//! Volumes of pods over a small API and a driver whose volumes are folders.

mod files;
mod kinds;
mod persistent;

use std::{path::PathBuf, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Mounted, VolumeManager};
use crate::{
    Clock, Config, Result, agent::tests::api::FakeApi, objects::Objects, pod::fields::FieldContext,
    seam::StoragePlugin,
};

/// A node's disk and the API server it asks.
struct Node {
    folder: tempfile::TempDir,
    api: FakeApi,
    clock: Clock,
}

impl Node {
    fn new() -> Self {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
        Self { folder: tempfile::tempdir().unwrap(), api: FakeApi::new(clock), clock }
    }

    /// What an agent that has just started would use.
    fn volumes(&self, plugins: Vec<Arc<dyn StoragePlugin>>) -> VolumeManager {
        let config = Config { root_dir: self.root(), ..Config::default() };
        let client = self.api.client();
        let objects = Objects::new(client.clone(), CancellationToken::new());
        VolumeManager::new(client, Arc::new(config), self.clock, objects, plugins)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("kubelet")
    }

    /// An object of the API server.
    fn put(&self, resource: &str, namespace: &str, name: &str, mut object: Value) {
        object["metadata"] = json!({"name": name, "namespace": namespace});
        self.api.put(resource, object);
    }
}

/// A pod with these volumes.
fn pod(name: &str, volumes: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}"), "labels": {"app": name}},
        "spec": {"containers": [{"name": "c"}], "volumes": volumes},
    }))
    .unwrap()
}

async fn mount(volumes: &VolumeManager, pod: &Pod) -> Result<Mounted> {
    volumes.mount(pod, FieldContext::default()).await
}

/// The content of a file in a mounted volume.
fn read(mounted: &Mounted, volume: &str, file: &str) -> Option<String> {
    std::fs::read_to_string(mounted.volumes[volume].path.join(file)).ok()
}
