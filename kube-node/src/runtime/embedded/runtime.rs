//! Opening, adoption, and the seam's methods.

use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::BroadcastStream;

use super::config::EmbeddedConfig;
use super::record::{ContainerRecord, End, Layout, SandboxRecord};
use super::{capability, session};
use crate::image::ImageStore;
use crate::seam::{
    ContainerConfig, ContainerFilter, ContainerId, ContainerReason, ContainerState, ContainerStats,
    ContainerStatus, DuplexStream, ExecOutput, ExecRequest, ExecSession, FsUsage, ImageRef, ImageService,
    ImageStatus, RegistryAuth, Runtime, RuntimeEvent, RuntimeEventKind, RuntimeInfo, SandboxConfig,
    SandboxFilter, SandboxId, SandboxStatus,
};
use crate::shim::cgroup::Hierarchies;
use crate::shim::{Request, ShimClient, StartExec};
use crate::{Error, Result};

/// Events a slow subscriber may be behind before it is told to list again.
const EVENT_BACKLOG: usize = 1024;

/// A sandbox and its supervisor.
#[derive(Clone, Debug)]
pub(super) struct Sandbox {
    pub(super) record: SandboxRecord,
    pub(super) shim: ShimClient,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) sandboxes: BTreeMap<String, Sandbox>,
    pub(super) containers: BTreeMap<String, ContainerRecord>,
}

/// The embedded runtime; see [the module's documentation](super). Cheap to clone.
#[derive(Clone, Debug)]
pub struct EmbeddedRuntime {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) config: EmbeddedConfig,
    pub(super) layout: Layout,
    pub(super) images: ImageStore,
    pub(super) hierarchies: Hierarchies,
    pub(super) own_capabilities: u64,
    pub(super) state: Mutex<State>,
    events: broadcast::Sender<RuntimeEvent>,
    /// Changes whenever a container or sandbox does, for those who wait for one.
    changed: watch::Sender<()>,
}

impl EmbeddedRuntime {
    /// Opens the runtime over its data folder: imports images, finds the supervisors that still run and adopts their pods, and notes how
    /// containers ended in the meantime.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without root, [`Error::Io`] when the data folder cannot be used.
    pub fn open(config: EmbeddedConfig) -> BoxFuture<'static, Result<Self>> {
        // An async function's code belongs to whoever polls it: boxed here, it is compiled in this crate, once.
        Box::pin(Self::restore(config))
    }

    async fn restore(config: EmbeddedConfig) -> Result<Self> {
        config.validate()?;
        let layout = Layout { data: config.data_dir.clone() };
        for folder in [layout.sandboxes(), layout.netns_dir()] {
            std::fs::create_dir_all(&folder).map_err(Error::io(format!("create {}", folder.display())))?;
        }
        let images = ImageStore::open(&config.data_dir).await?;
        let hierarchies = Hierarchies::detect().map_err(Error::io("look for cgroups"))?;
        let inner = Inner {
            layout,
            images,
            hierarchies,
            own_capabilities: capability::own(),
            state: Mutex::default(),
            events: broadcast::Sender::new(EVENT_BACKLOG),
            changed: watch::Sender::new(()),
            config,
        };
        let runtime = Self { inner: Arc::new(inner) };
        runtime.adopt().await;
        Ok(runtime)
    }

    /// The image store, for images made of this machine's files.
    #[must_use]
    pub fn image_store(&self) -> &ImageStore {
        &self.inner.images
    }

    async fn adopt(&self) {
        let (sandboxes, containers) = self.inner.layout.load();
        {
            let mut state = self.inner.state.lock();
            for container in containers {
                state.containers.insert(container.id.clone(), container);
            }
            for record in sandboxes {
                let shim = ShimClient::new(&self.inner.layout.sandbox(&record.id));
                state.sandboxes.insert(record.id.clone(), Sandbox { record, shim });
            }
        }
        let ids: Vec<String> = self.inner.state.lock().sandboxes.keys().cloned().collect();
        stream::iter(ids).for_each_concurrent(16, |id| async move { self.adopt_sandbox(&id).await }).await;
    }
}

impl Inner {
    pub(super) fn sandbox(&self, id: &str) -> Result<Sandbox> {
        self.state.lock().sandboxes.get(id).cloned().ok_or_else(|| Error::not_found("sandbox", id))
    }

    pub(super) fn container(&self, id: &str) -> Result<ContainerRecord> {
        self.state.lock().containers.get(id).cloned().ok_or_else(|| Error::not_found("container", id))
    }

    /// A running container and its supervisor.
    fn running(&self, id: &ContainerId) -> Result<(ContainerRecord, ShimClient)> {
        let container = self.container(&id.0)?;
        if container.state() != ContainerState::Running {
            return Err(Error::Conflict(format!("container {id} is not running")));
        }
        let sandbox = self.sandbox(&container.sandbox)?;
        Ok((container, sandbox.shim))
    }

    /// Changes a sandbox's record, here and on disk.
    pub(super) fn update_sandbox(&self, id: &str, change: impl FnOnce(&mut SandboxRecord)) -> Result<()> {
        let mut state = self.state.lock();
        let sandbox = state.sandboxes.get_mut(id).ok_or_else(|| Error::not_found("sandbox", id))?;
        change(&mut sandbox.record);
        self.layout.save_sandbox(&sandbox.record).map_err(Error::io(format!("save sandbox {id}")))
    }

    /// Changes a container's record, here and on disk.
    pub(super) fn update_container(&self, id: &str, change: impl FnOnce(&mut ContainerRecord)) -> Result<()> {
        let mut state = self.state.lock();
        let container = state.containers.get_mut(id).ok_or_else(|| Error::not_found("container", id))?;
        change(container);
        self.layout.save_container(container).map_err(Error::io(format!("save container {id}")))
    }

    /// Notes a container's end, once.
    pub(super) fn end_container(&self, id: &str, end: End) {
        let mut first = false;
        let saved = self.update_container(id, |container| {
            first = container.end.is_none();
            container.end.get_or_insert(end);
        });
        if let Err(error) = saved {
            tracing::warn!(container = id, %error, "end not saved");
        }
        if first && let Ok(container) = self.container(id) {
            self.publish(&container.pod_uid, RuntimeEventKind::ContainerExited(ContainerId(id.to_owned())));
        }
    }

    pub(super) fn publish(&self, pod_uid: &str, kind: RuntimeEventKind) {
        self.changed.send_replace(());
        // Nobody listening is fine.
        let _unheard = self.events.send(RuntimeEvent { pod_uid: pod_uid.to_owned(), kind });
    }

    /// Waits until the container is no longer running, at most `limit`; true when that is so.
    pub(super) async fn wait_for_end(&self, id: &str, limit: Duration) -> bool {
        let mut changes = self.changed.subscribe();
        let ended = async {
            while self.container(id).is_ok_and(|container| container.state() == ContainerState::Running) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, ended).await.is_ok()
    }
}

#[async_trait]
impl Runtime for EmbeddedRuntime {
    async fn info(&self) -> Result<RuntimeInfo> {
        let network = self.inner.config.network.ready().await?;
        Ok(RuntimeInfo {
            name: "embedded".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: true,
            network_ready: network.ready,
            reason: if network.ready { String::new() } else { "NetworkPluginNotReady".to_owned() },
            message: network.message,
        })
    }

    async fn run_sandbox(&self, config: &SandboxConfig) -> Result<SandboxId> {
        self.make_sandbox(config).await
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<()> {
        self.halt_sandbox(&id.0).await
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<()> {
        self.delete_sandbox(&id.0).await
    }

    async fn sandboxes(&self, filter: &SandboxFilter) -> Result<Vec<SandboxStatus>> {
        let state = self.inner.state.lock();
        Ok(state
            .sandboxes
            .values()
            .map(|sandbox| sandbox.record.status())
            .filter(|status| filter.matches(status))
            .collect())
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: &ContainerConfig,
        sandbox_config: &SandboxConfig,
    ) -> Result<ContainerId> {
        self.make_container(&sandbox.0, config, sandbox_config).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<()> {
        self.launch_container(&id.0).await
    }

    async fn stop_container(&self, id: &ContainerId, grace: Duration, signal: Option<&str>) -> Result<()> {
        self.halt_container(&id.0, grace, signal).await
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<()> {
        self.delete_container(&id.0).await
    }

    async fn containers(&self, filter: &ContainerFilter) -> Result<Vec<ContainerStatus>> {
        let state = self.inner.state.lock();
        Ok(state
            .containers
            .values()
            .map(ContainerRecord::status)
            .filter(|status| filter.matches(status))
            .collect())
    }

    async fn reopen_log(&self, id: &ContainerId) -> Result<()> {
        let (_, shim) = self.inner.running(id)?;
        shim.call(&Request::ReopenLog { id: id.0.clone() }).await
    }

    async fn exec(&self, id: &ContainerId, request: ExecRequest) -> Result<ExecSession> {
        if request.command.is_empty() {
            return Err(Error::Invalid("no command to execute".to_owned()));
        }
        let (_, shim) = self.inner.running(id)?;
        let exec = StartExec::new(&id.0, request.command.clone(), request.tty, session::streams(&request));
        Ok(session::session(shim.stream(&Request::Exec(exec)).await?, &request))
    }

    async fn exec_sync(&self, id: &ContainerId, command: &[String], timeout: Duration) -> Result<ExecOutput> {
        let request =
            ExecRequest { command: command.to_vec(), stdout: true, stderr: true, ..ExecRequest::default() };
        let run = async { session::collect(self.exec(id, request).await?).await };
        // The session is dropped with the future, and with it the process.
        tokio::time::timeout(timeout, run)
            .await
            .map_err(|_| Error::Deadline(format!("command {command:?} in container {id}")))?
    }

    async fn attach(&self, id: &ContainerId, request: ExecRequest) -> Result<ExecSession> {
        let (container, shim) = self.inner.running(id)?;
        let request = ExecRequest {
            tty: container.config.tty,
            stdin: request.stdin && container.config.stdin,
            ..request
        };
        let attach = Request::Attach { id: id.0.clone(), streams: session::streams(&request) };
        Ok(session::session(shim.stream(&attach).await?, &request))
    }

    async fn port_forward(&self, sandbox: &SandboxId, port: u16) -> Result<Box<dyn DuplexStream>> {
        let shim = self.inner.sandbox(&sandbox.0)?.shim;
        Ok(Box::new(session::forward(shim.stream(&Request::Forward { port }).await?)))
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let lagged = || RuntimeEvent { pod_uid: String::new(), kind: RuntimeEventKind::Lagged };
        BroadcastStream::new(self.inner.events.subscribe())
            .map(move |event| event.unwrap_or_else(|_| lagged()))
            .boxed()
    }

    async fn stats(&self, filter: &ContainerFilter) -> Result<Vec<ContainerStats>> {
        let running: Vec<ContainerRecord> = {
            let state = self.inner.state.lock();
            let wanted = |container: &&ContainerRecord| {
                container.state() == ContainerState::Running && filter.matches(&container.status())
            };
            state.containers.values().filter(wanted).cloned().collect()
        };
        let inner = self.inner.clone();
        let measure = move || running.iter().map(|container| inner.measure(container)).collect();
        tokio::task::spawn_blocking(measure).await.map_err(|error| Error::Failed(error.to_string()))
    }

    fn images(&self) -> Arc<dyn ImageService> {
        Arc::new(NodeImages(self.inner.clone()))
    }

    async fn set_pod_cidrs(&self, cidrs: &[ipnet::IpNet]) -> Result<()> {
        self.inner.config.network.configure(cidrs).await
    }
}

/// The end of a container nobody saw end.
pub(super) fn lost(at: jiff::Timestamp) -> End {
    End { code: 255, at, reason: ContainerReason::Error, message: "the pod's supervisor is gone".to_owned() }
}

/// The store, with the layers that containers still use spared when images are removed.
struct NodeImages(Arc<Inner>);

#[async_trait]
impl ImageService for NodeImages {
    async fn list(&self) -> Result<Vec<ImageStatus>> {
        self.0.images.list().await
    }

    async fn status(&self, image: &str) -> Result<Option<ImageStatus>> {
        self.0.images.status(image).await
    }

    async fn pull(&self, image: &str, auth: Option<&RegistryAuth>) -> Result<ImageRef> {
        self.0.images.pull(image, auth).await
    }

    async fn remove(&self, image: &str) -> Result<()> {
        self.0.images.remove(image).await?;
        let in_use = {
            let state = self.0.state.lock();
            let layers = state.containers.values().flat_map(|container| &container.image.layers);
            layers.map(|layer| ImageStore::layer_name(layer)).collect()
        };
        self.0.images.collect_garbage(in_use).await
    }

    async fn usage(&self) -> Result<FsUsage> {
        self.0.images.usage().await
    }
}
