//! One of the two: an API server in this process and a scheduler as a process of its own.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use examples::{Failure, served};
use futures::{Stream, StreamExt};
use kube::Client;
use kube::api::WatchEvent;
use kube_api::{ApiServer, User};
use kube_store::MemoryStore;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::world::{Item, World};

/// How long something may take that certainly happens.
const PATIENCE: Duration = Duration::from_secs(40);
/// Whom the scheduler speaks as.
const USER: &str = "system:kube-scheduler";
/// The kinds that are created.
const KINDS: &[&str] = &[
    "Namespace",
    "ServiceAccount",
    "Service",
    "Node",
    "Pod",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "ReplicaSet",
    "StatefulSet",
    "PodDisruptionBudget",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "CSIDriver",
    "CSINode",
    "CSIStorageCapacity",
    "ResourceClaim",
    "DeviceClass",
    "ResourceSlice",
];
/// How often it is looked whether something has happened.
pub(super) const PAUSE: Duration = Duration::from_millis(15);

/// An API server and its scheduler.
#[derive(Debug)]
pub(super) struct Side {
    api: Objects,
    dir: TempDir,
    /// Where the scheduler tells of itself.
    port: u16,
    _scheduler: Child,
    _stop: DropGuard,
}

/// The objects of an API server in this process, by paths.
#[derive(Clone)]
pub(super) struct Objects(Client);

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Objects")
    }
}

impl Objects {
    pub(super) async fn get(&self, path: &str) -> Result<Option<Value>, Failure> {
        let answer = self.send("GET", path, "application/json", &Value::Null).await;
        match answer {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            answer => Ok(Some(answer?)),
        }
    }

    /// All objects below a path.
    pub(super) async fn list(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let list = self.get(path).await?.unwrap_or_default();
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Every later state of a pod.
    pub(super) async fn watch(
        &self,
        pod: &Value,
    ) -> Result<impl Stream<Item = Result<Value, Failure>> + use<>, Failure> {
        let metadata = &pod["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default();
        let (namespace, name, version) = (text("namespace"), text("name"), text("resourceVersion"));
        let path = format!(
            "/api/v1/namespaces/{namespace}/pods?watch=true&fieldSelector=metadata.name%3D{name}&resourceVersion={version}"
        );
        let request = http::Request::builder().uri(path).body(Vec::new())?;
        let changes = self.0.request_events::<Value>(request).await?;
        Ok(changes.map(|change| match change? {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => Ok(object),
            _ => Err("the pod is gone".into()),
        }))
    }

    /// Creates an object and returns it as it is then.
    pub(super) async fn create(&self, path: &str, object: &Value) -> Result<Value, Failure> {
        let mut whole = object.clone();
        let version = path.trim_start_matches("/api/").trim_start_matches("/apis/").split('/');
        let version: Vec<_> = version.take(if path.starts_with("/apis/") { 2 } else { 1 }).collect();
        let plural = path.rsplit('/').next().unwrap_or_default();
        let kind = KINDS.iter().find(|kind| plural_of(kind) == plural);
        (whole["apiVersion"], whole["kind"]) =
            (version.join("/").into(), kind.copied().unwrap_or_default().into());
        let answer = self.send("POST", path, "application/json", &whole).await;
        Ok(answer.map_err(|error| format!("{path}: {error}: {whole}"))?)
    }

    pub(super) async fn merge(&self, path: &str, patch: &Value) -> Result<(), Failure> {
        let answer = self.send("PATCH", path, "application/merge-patch+json", patch).await;
        answer.map_err(|error| format!("{path}: {error}: {patch}"))?;
        Ok(())
    }

    /// Deletes an object at once, if it is there.
    pub(super) async fn delete(&self, path: &str) -> Result<(), Failure> {
        match self
            .send("DELETE", &format!("{path}?gracePeriodSeconds=0"), "application/json", &Value::Null)
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            answer => Ok(_ = answer?),
        }
    }

    async fn send(&self, method: &str, path: &str, kind: &str, body: &Value) -> kube::Result<Value> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request =
            http::Request::builder().method(method).uri(path).header("content-type", kind).body(body);
        self.0.request(request.map_err(kube::Error::HttpError)?).await
    }

    async fn put(&self, item: &Item) -> Result<(), Failure> {
        self.create(&item.path, &item.object).await?;
        let path = format!("{}/{}", item.path, item.object["metadata"]["name"].as_str().unwrap_or_default());
        if let Some(spec) = &item.spec {
            self.merge(&path, &json!({"spec": spec})).await?;
        }
        if let Some(status) = &item.status {
            self.merge(&format!("{path}/status"), &json!({"status": status})).await?;
        }
        Ok(())
    }
}

/// What a path calls a kind.
fn plural_of(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        None => format!("{kind}s"),
    }
}

impl Side {
    /// Shows a world to a scheduler, and waits until that one is at work.
    pub(super) async fn new(program: &Path, world: &World) -> Result<Self, Failure> {
        let (dir, stop) = (tempfile::tempdir()?, CancellationToken::new());
        let server = ApiServer::builder(Arc::new(MemoryStore::new())).build().await?;
        let api = Objects(Client::new(server.as_user(User::admin()), "default"));
        for item in &world.items {
            api.put(item).await?;
        }
        let _stop = stop.clone().drop_guard();
        let kubeconfig = served::to_user(USER, &server, dir.path(), stop).await?;
        let settings = json!({"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": kubeconfig, "qps": 10000, "burst": 10000, "contentType": "application/json"},
            "leaderElection": {"leaderElect": false}, "percentageOfNodesToScore": 100, "profiles": world.profiles});
        let config = dir.path().join("config");
        std::fs::write(&config, settings.to_string())?;
        // Whoever takes the port until the scheduler does makes this seed fail.
        let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        let scheduler = start(program, &config, port, &dir.path().join("log"))?;
        let side = Self { api, dir, port, _scheduler: scheduler, _stop };
        side.ready().await.map_err(|error| format!("{}: {error}: {}", program.display(), side.log()))?;
        Ok(side)
    }

    pub(super) fn api(&self) -> &Objects {
        &self.api
    }

    /// What the scheduler serves at a path: the status and the text.
    pub(super) async fn served(&self, path: &str) -> Result<(u16, String), Failure> {
        let mut config = kube::Config::new(format!("https://127.0.0.1:{}", self.port).parse()?);
        config.accept_invalid_certs = true;
        let request = http::Request::builder().uri(path).body(kube::client::Body::empty())?;
        let answer = Client::try_from(config)?.send(request).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect_bytes().await?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// What the scheduler has written.
    pub(super) fn log(&self) -> String {
        std::fs::read(self.dir.path().join("log"))
            .map_or_else(|_| String::new(), |log| String::from_utf8_lossy(&log).into_owned())
    }

    /// Waits until a pod without any place has been looked at.
    async fn ready(&self) -> Result<(), Failure> {
        let spec = json!({"nodeSelector": {"no": "node"}, "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "i"}]});
        let path = "/api/v1/namespaces/n0/pods";
        self.api.create(path, &json!({"metadata": {"name": "probe"}, "spec": spec})).await?;
        let path = format!("{path}/probe");
        let start = Instant::now();
        while self.api.get(&path).await?.is_none_or(|pod| pod["status"]["conditions"].is_null()) {
            if start.elapsed() > PATIENCE {
                return Err("looks at no pod".into());
            }
            sleep(PAUSE).await;
        }
        self.api.delete(&path).await
    }
}

/// Starts a scheduler that says how it scores; it is killed when dropped.
fn start(program: &Path, config: &Path, port: u16, log: &Path) -> Result<Child, Failure> {
    let mut command = Command::new(program);
    command.arg("--config").arg(config).args(["--bind-address=127.0.0.1", "--vmodule=schedule_one=10"]);
    command.arg(format!("--secure-port={port}")).arg("--authorization-always-allow-paths=/*");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log)?).kill_on_drop(true);
    Ok(command.spawn().map_err(|error| format!("{}: {error}", program.display()))?)
}
