//! The [`Runtime`] over [`State`].

use std::{io::Write, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use super::{
    Script,
    images::FakeImages,
    session,
    state::{State, reason_for},
};
use crate::{
    Clock, Error, Result,
    seam::{
        ContainerConfig, ContainerFilter, ContainerId, ContainerReason, ContainerState, ContainerStats,
        ContainerStatus, DuplexStream, ExecOutput, ExecRequest, ExecSession, ImageService, Runtime,
        RuntimeEvent, RuntimeEventKind, RuntimeInfo, SandboxConfig, SandboxFilter, SandboxId, SandboxState,
        SandboxStatus,
    },
};

/// The exit code of what was killed.
const KILLED: i32 = 137;
/// How many events a slow subscriber may be behind before it is told to list again.
const EVENT_BACKLOG: usize = 1024;

/// A runtime that runs nothing; see [the module's documentation](super). Clones share their state.
#[derive(Clone)]
pub struct FakeRuntime {
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<RuntimeEvent>,
    clock: Clock,
}

impl std::fmt::Debug for FakeRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.lock();
        f.debug_struct("FakeRuntime")
            .field("sandboxes", &state.sandboxes.len())
            .field("containers", &state.containers.len())
            .finish_non_exhaustive()
    }
}

impl FakeRuntime {
    /// An empty runtime that takes pod addresses from `cidrs` until it is told others.
    pub fn new(clock: Clock, cidrs: Vec<IpNet>) -> Self {
        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        Self { state: Arc::new(Mutex::new(State::new(cidrs))), events, clock }
    }

    /// Sets what containers of `image` (as the pod writes it) do from now on.
    pub fn script(&self, image: impl Into<String>, script: Script) {
        self.state.lock().scripts.insert(image.into(), script);
    }

    /// Ends a running container's process with this exit code.
    pub fn exit(&self, id: &ContainerId, exit_code: i32) {
        self.end(id, exit_code, reason_for(exit_code, false));
    }

    fn send(&self, pod_uid: String, kind: RuntimeEventKind) {
        // Nobody listening is fine.
        let _ = self.events.send(RuntimeEvent { pod_uid, kind });
    }

    fn end(&self, id: &ContainerId, exit_code: i32, reason: ContainerReason) {
        let ended = self.state.lock().end(id, exit_code, reason, self.clock.now());
        if let Some(pod_uid) = ended {
            self.send(pod_uid, RuntimeEventKind::ContainerExited(id.clone()));
        }
    }

    fn is_running(&self, id: &ContainerId) -> bool {
        self.state.lock().running(id).is_ok()
    }

    fn schedule_exit(&self, id: &ContainerId, script: &Script) {
        let Some(run_for) = script.run_for else { return };
        let (me, id, code, oom) = (self.clone(), id.clone(), script.exit_code, script.oom_killed);
        tokio::spawn(async move {
            tokio::time::sleep(run_for).await;
            me.end(&id, code, reason_for(code, oom));
        });
    }

    /// Adds lines to the container's log file, and makes it where it is not there.
    fn write_logs(&self, status: &ContainerStatus, lines: &[String]) -> Result<()> {
        if status.log_path.as_os_str().is_empty() {
            return Ok(());
        }
        let doing = || format!("write {}", status.log_path.display());
        if let Some(dir) = status.log_path.parent() {
            std::fs::create_dir_all(dir).map_err(Error::io(doing()))?;
        }
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&status.log_path);
        let mut file = file.map_err(Error::io(doing()))?;
        for line in lines {
            writeln!(file, "{:.9} stdout F {line}", self.clock.now()).map_err(Error::io(doing()))?;
        }
        Ok(())
    }

    /// Resolves when the container does not run any more.
    async fn ended(&self, id: &ContainerId) {
        let mut events = self.events.subscribe();
        while self.is_running(id) {
            // Whatever has happened, and also when some of it was missed, the container is looked at again.
            let _event = events.recv().await;
        }
    }

    /// What an attached session is: an echo for as long as the container runs.
    async fn attached(self, id: ContainerId, mut process: session::Process) -> i32 {
        let streams = async {
            process.echo().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = streams => {}
            () = self.ended(&id) => {}
        }
        self.state.lock().container(&id).map_or(KILLED, |container| container.status.exit_code)
    }
}

#[async_trait]
impl Runtime for FakeRuntime {
    async fn info(&self) -> Result<RuntimeInfo> {
        Ok(RuntimeInfo {
            name: "fake".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: true,
            network_ready: true,
            ..RuntimeInfo::default()
        })
    }

    async fn run_sandbox(&self, config: &SandboxConfig) -> Result<SandboxId> {
        if !matches!(config.runtime_handler.as_str(), "" | "fake") {
            return Err(Error::Invalid(format!("no runtime for {:?} is configured", config.runtime_handler)));
        }
        let id = self.state.lock().add_sandbox(config, self.clock.now())?;
        self.send(config.pod.uid.clone(), RuntimeEventKind::SandboxChanged(id.clone()));
        Ok(id)
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<()> {
        let running =
            self.containers(&ContainerFilter { sandbox: Some(id.clone()), ..Default::default() }).await?;
        for container in running.iter().filter(|c| c.state == ContainerState::Running) {
            self.end(&container.id, KILLED, ContainerReason::Error);
        }
        let changed = self.state.lock().sandboxes.get_mut(id).map(|sandbox| {
            sandbox.state = SandboxState::NotReady;
            sandbox.ips.clear();
            sandbox.pod.uid.clone()
        });
        if let Some(uid) = changed {
            self.send(uid, RuntimeEventKind::SandboxChanged(id.clone()));
        }
        Ok(())
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<()> {
        self.stop_sandbox(id).await?;
        let removed = {
            let mut state = self.state.lock();
            state.containers.retain(|_, c| c.status.sandbox != *id);
            state.sandboxes.remove(id)
        };
        if let Some(sandbox) = removed {
            self.send(sandbox.pod.uid, RuntimeEventKind::SandboxChanged(id.clone()));
        }
        Ok(())
    }

    async fn sandboxes(&self, filter: &SandboxFilter) -> Result<Vec<SandboxStatus>> {
        Ok(self.state.lock().sandboxes.values().filter(|s| filter.matches(s)).cloned().collect())
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: &ContainerConfig,
        sandbox_config: &SandboxConfig,
    ) -> Result<ContainerId> {
        let id = self.state.lock().add_container(sandbox, config, sandbox_config, self.clock.now())?;
        self.send(sandbox_config.pod.uid.clone(), RuntimeEventKind::ContainerCreated(id.clone()));
        Ok(id)
    }

    async fn start_container(&self, id: &ContainerId) -> Result<()> {
        let script = self.state.lock().script_of(id);
        let started = self.state.lock().start(id, script.start_error.as_deref(), self.clock.now());
        let (status, pod_uid) = match started {
            Err(Error::Failed(text)) => {
                self.end(id, 128, ContainerReason::StartError);
                return Err(Error::Failed(text));
            }
            started => started?,
        };
        if !script.logs.is_empty() {
            self.write_logs(&status, &script.logs)?;
        }
        self.send(pod_uid, RuntimeEventKind::ContainerStarted(id.clone()));
        self.schedule_exit(id, &script);
        Ok(())
    }

    async fn stop_container(&self, id: &ContainerId, grace: Duration, _signal: Option<&str>) -> Result<()> {
        if !self.is_running(id) {
            return Ok(());
        }
        let script = self.state.lock().script_of(id);
        let reaction = tokio::time::sleep(script.stop_takes.min(grace));
        tokio::select! {
            () = reaction => {}
            // By itself, or because somebody else had less patience.
            () = self.ended(id) => return Ok(()),
        }
        let in_time = script.stop_takes <= grace && !grace.is_zero();
        let code = if in_time { script.exit_code } else { KILLED };
        self.end(id, code, reason_for(code, false));
        Ok(())
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<()> {
        self.end(id, KILLED, ContainerReason::Error);
        let removed = self.state.lock().containers.remove(id);
        if let Some(container) = removed {
            self.send(container.pod_uid, RuntimeEventKind::ContainerRemoved(id.clone()));
        }
        Ok(())
    }

    async fn containers(&self, filter: &ContainerFilter) -> Result<Vec<ContainerStatus>> {
        let state = self.state.lock();
        Ok(state.containers.values().map(|c| &c.status).filter(|s| filter.matches(s)).cloned().collect())
    }

    async fn reopen_log(&self, id: &ContainerId) -> Result<()> {
        let (status, script) = {
            let mut state = self.state.lock();
            (state.running(id)?.status.clone(), state.script_of(id))
        };
        if script.logs.is_empty() { Ok(()) } else { self.write_logs(&status, &[]) }
    }

    async fn exec(&self, id: &ContainerId, request: ExecRequest) -> Result<ExecSession> {
        let mut state = self.state.lock();
        state.running(id)?;
        let command = state.script_of(id).command(&request.command);
        Ok(session::open(&request, |process| process.run(command)))
    }

    async fn exec_sync(&self, id: &ContainerId, command: &[String], timeout: Duration) -> Result<ExecOutput> {
        let answer = {
            let mut state = self.state.lock();
            state.running(id)?;
            state.script_of(id).command(command)
        };
        match tokio::time::timeout(timeout, tokio::time::sleep(answer.takes)).await {
            Ok(()) => Ok(answer.output),
            Err(_) => Err(Error::Deadline(format!("command {command:?} in container {id}"))),
        }
    }

    async fn attach(&self, id: &ContainerId, request: ExecRequest) -> Result<ExecSession> {
        self.state.lock().running(id)?;
        Ok(session::open(&request, |process| self.clone().attached(id.clone(), process)))
    }

    async fn port_forward(&self, sandbox: &SandboxId, _port: u16) -> Result<Box<dyn DuplexStream>> {
        if !self.state.lock().sandboxes.contains_key(sandbox) {
            return Err(Error::not_found("sandbox", &sandbox.0));
        }
        let (near, far) = tokio::io::duplex(16 * 1024);
        tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(far);
            let _ = tokio::io::copy(&mut read, &mut write).await;
        });
        Ok(Box::new(near))
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let lagged = || RuntimeEvent { pod_uid: String::new(), kind: RuntimeEventKind::Lagged };
        BroadcastStream::new(self.events.subscribe())
            .map(move |event| event.unwrap_or_else(|BroadcastStreamRecvError::Lagged(_)| lagged()))
            .boxed()
    }

    async fn stats(&self, filter: &ContainerFilter) -> Result<Vec<ContainerStats>> {
        let (at, running) = (self.clock.now(), self.containers(filter).await?);
        let running = running.into_iter().filter(|c| c.state == ContainerState::Running);
        Ok(running.map(|c| ContainerStats { id: c.id, at, ..ContainerStats::default() }).collect())
    }

    fn images(&self) -> Arc<dyn ImageService> {
        Arc::new(FakeImages { state: self.state.clone() })
    }

    async fn set_pod_cidrs(&self, cidrs: &[IpNet]) -> Result<()> {
        self.state.lock().cidrs = cidrs.to_vec();
        Ok(())
    }
}
