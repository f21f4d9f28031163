//! The runtime service.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cri_client::v1;
use futures::{StreamExt, stream::BoxStream};
use tokio_stream::wrappers::BroadcastStream;

use super::error::{about, call, gone_is_done, unknown_handler};
use super::look::{info, running, seconds, startable};
use super::{CriRuntime, container, look, sandbox, session, stats};
use crate::seam::{
    ContainerConfig, ContainerFilter, ContainerId, ContainerStats, ContainerStatus, DuplexStream, ExecOutput,
    ExecRequest, ExecSession, ImageService, Runtime, RuntimeEvent, RuntimeEventKind, RuntimeInfo,
    SandboxConfig, SandboxFilter, SandboxId, SandboxStatus,
};
use crate::{Error, Result};

#[async_trait]
impl Runtime for CriRuntime {
    async fn info(&self) -> Result<RuntimeInfo> {
        let version = self.client().version(v1::VersionRequest::default()).await.map_err(call)?;
        let status = self.client().status(v1::StatusRequest::default()).await.map_err(call)?;
        Ok(info(version, status.status.unwrap_or_default().conditions))
    }

    async fn run_sandbox(&self, config: &SandboxConfig) -> Result<SandboxId> {
        let request = v1::RunPodSandboxRequest {
            config: Some(sandbox::config(config)),
            runtime_handler: config.runtime_handler.clone(),
        };
        match self.client().run_pod_sandbox(request).await.map_err(about("sandbox", &config.pod.name)) {
            Ok(answer) => Ok(SandboxId(answer.pod_sandbox_id)),
            Err(Error::Failed(message)) if unknown_handler(&message) => Err(Error::Invalid(message)),
            Err(error) => Err(error),
        }
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<()> {
        let request = v1::StopPodSandboxRequest { pod_sandbox_id: id.0.clone() };
        gone_is_done(self.client().stop_pod_sandbox(request).await, "sandbox", &id.0)
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<()> {
        self.stop_sandbox(id).await?;
        let request = v1::RemovePodSandboxRequest { pod_sandbox_id: id.0.clone() };
        gone_is_done(self.client().remove_pod_sandbox(request).await, "sandbox", &id.0)
    }

    async fn sandboxes(&self, filter: &SandboxFilter) -> Result<Vec<SandboxStatus>> {
        let request = v1::ListPodSandboxRequest { filter: Some(sandbox::filter(filter)) };
        let listed = self.client().list_pod_sandbox(request).await.map_err(call)?.items;
        let of_pod = |item: &v1::PodSandbox| {
            let uid = item.metadata.as_ref().map(|metadata| &metadata.uid);
            filter.pod_uid.is_none() || filter.pod_uid.as_ref() == uid
        };
        let ids = listed.into_iter().filter(of_pod).map(|item| item.id).collect();
        let mut found = look::sandboxes(self.client(), ids).await?;
        found.retain(|status| filter.matches(status));
        Ok(found)
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: &ContainerConfig,
        sandbox_config: &SandboxConfig,
    ) -> Result<ContainerId> {
        let request = v1::CreateContainerRequest {
            pod_sandbox_id: sandbox.0.clone(),
            config: Some(container::config(config)),
            sandbox_config: Some(sandbox::config(sandbox_config)),
        };
        match self.client().create_container(request).await.map_err(about("sandbox", &sandbox.0)) {
            Ok(answer) => Ok(ContainerId(answer.container_id)),
            Err(error) => Err(self.refine_create(sandbox, (&config.name, config.attempt), error).await),
        }
    }

    async fn start_container(&self, id: &ContainerId) -> Result<()> {
        let request = v1::StartContainerRequest { container_id: id.0.clone() };
        match self.client().start_container(request).await.map_err(about("container", &id.0)) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.refine(id, error, startable).await),
        }
    }

    async fn stop_container(&self, id: &ContainerId, grace: Duration, _signal: Option<&str>) -> Result<()> {
        let request = v1::StopContainerRequest { container_id: id.0.clone(), timeout: seconds(grace) };
        gone_is_done(self.client().stop_container(request).await, "container", &id.0)
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<()> {
        let request = v1::RemoveContainerRequest { container_id: id.0.clone() };
        gone_is_done(self.client().remove_container(request).await, "container", &id.0)
    }

    async fn containers(&self, filter: &ContainerFilter) -> Result<Vec<ContainerStatus>> {
        let request = v1::ListContainersRequest { filter: Some(container::filter(filter)) };
        let listed = self.client().list_containers(request).await.map_err(call)?.containers;
        let ids = listed.into_iter().map(|item| (item.id, SandboxId(item.pod_sandbox_id))).collect();
        let mut found = look::containers(self.client(), ids).await?;
        found.retain(|status| filter.matches(status));
        Ok(found)
    }

    async fn reopen_log(&self, id: &ContainerId) -> Result<()> {
        let request = v1::ReopenContainerLogRequest { container_id: id.0.clone() };
        match self.client().reopen_container_log(request).await.map_err(about("container", &id.0)) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.refine(id, error, running).await),
        }
    }

    async fn exec(&self, id: &ContainerId, request: ExecRequest) -> Result<ExecSession> {
        match self.client().exec(session::exec(id, &request)).await.map_err(about("container", &id.0)) {
            Ok(answer) => session::open(&answer.url, &request).await,
            Err(error) => Err(self.refine(id, error, running).await),
        }
    }

    async fn exec_sync(&self, id: &ContainerId, command: &[String], timeout: Duration) -> Result<ExecOutput> {
        // The protocol's 0 means without limit.
        let limit = seconds(timeout).max(1);
        let request =
            v1::ExecSyncRequest { container_id: id.0.clone(), cmd: command.to_vec(), timeout: limit };
        match self.client().exec_sync(request).await.map_err(about("container", &id.0)) {
            Ok(answer) => Ok(session::output(answer)),
            Err(Error::Deadline(_)) => Err(Error::Deadline(format!("command {command:?} after {timeout:?}"))),
            Err(error) => Err(self.refine(id, error, running).await),
        }
    }

    async fn attach(&self, id: &ContainerId, request: ExecRequest) -> Result<ExecSession> {
        match self.client().attach(session::attach(id, &request)).await.map_err(about("container", &id.0)) {
            Ok(answer) => {
                let session = session::open(&answer.url, &request).await?;
                Ok(session::ends_with_container(session, self.clone(), id.clone()))
            }
            Err(error) => Err(self.refine(id, error, running).await),
        }
    }

    async fn port_forward(&self, _sandbox: &SandboxId, _port: u16) -> Result<Box<dyn DuplexStream>> {
        Err(Error::Unsupported("port forwarding over CRI"))
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let lagged = || RuntimeEvent { pod_uid: String::new(), kind: RuntimeEventKind::Lagged };
        BroadcastStream::new(self.subscribe()).map(move |event| event.unwrap_or_else(|_| lagged())).boxed()
    }

    async fn stats(&self, filter: &ContainerFilter) -> Result<Vec<ContainerStats>> {
        let request = v1::ListContainerStatsRequest { filter: Some(stats::filter(filter)) };
        let answer = self.client().list_container_stats(request).await.map_err(call)?;
        Ok(answer.stats.into_iter().filter_map(stats::container).collect())
    }

    fn images(&self) -> Arc<dyn ImageService> {
        Arc::new(self.clone())
    }

    async fn set_pod_cidrs(&self, cidrs: &[ipnet::IpNet]) -> Result<()> {
        let pod_cidr = cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let network_config = Some(v1::NetworkConfig { pod_cidr });
        let runtime_config = Some(v1::RuntimeConfig { network_config });
        let request = v1::UpdateRuntimeConfigRequest { runtime_config };
        self.client().update_runtime_config(request).await.map(|_| ()).map_err(call)
    }
}
