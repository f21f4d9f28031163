use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{Stream, StreamExt};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::v1::image_service_client::ImageServiceClient;
use crate::v1::runtime_service_client::RuntimeServiceClient;
use crate::{Config, Error, Result, v1};

/// A connection to a container runtime. Clones share it; calls run concurrently, and a lost connection is opened again by
/// the next call.
///
/// Every method is one RPC of the specification: it takes and returns the message the specification names, and repeats
/// nothing. Dropping a call's future cancels the call on the wire; the runtime may have carried it out already.
#[derive(Clone, Debug)]
pub struct Client {
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
    config: Config,
}

/// Container events as the runtime sends them, until it closes the stream.
pub type Events = futures::stream::BoxStream<'static, Result<v1::ContainerEventResponse>>;

impl Client {
    /// Connects to the runtime that listens on the unix socket `socket`.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if nothing accepts connections there.
    pub async fn connect(socket: impl AsRef<Path>, config: Config) -> Result<Self> {
        let socket = socket.as_ref().to_owned();
        let unreachable = |source| Error::Unreachable { socket: socket.clone(), source };
        // The authority is never resolved, but grpc-go refuses requests whose authority is a path.
        let endpoint = Endpoint::from_static("http://localhost").connect_timeout(config.request_timeout);
        let channel = endpoint
            .connect_with_connector(unix_connector(socket.clone()))
            .await
            .map_err(|e| unreachable(e.into()))?;
        Ok(Self::over(channel, config))
    }

    fn over(channel: Channel, config: Config) -> Self {
        let limit = config.max_message_bytes;
        Self {
            runtime: RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(limit),
            images: ImageServiceClient::new(channel).max_decoding_message_size(limit),
            config,
        }
    }

    /// Subscribes to container events (`GetContainerEvents`).
    ///
    /// # Errors
    /// [`Error::Unsupported`] from runtimes without it (containerd before 1.7): list periodically instead.
    pub async fn container_events(&self) -> Result<Events> {
        const RPC: &str = "get_container_events";
        let after = self.config.request_timeout;
        let failed = move |status: tonic::Status| Error::from_status(RPC, after, &status);
        let call = self.runtime.clone();
        let stream =
            within(RPC, after, async move { { call }.get_container_events(v1::GetEventsRequest {}).await });
        Ok(map_stream(stream.await?, failed))
    }
}

fn map_stream<T: Send + 'static>(
    stream: tonic::Streaming<T>,
    failed: impl Fn(tonic::Status) -> Error + Send + 'static,
) -> futures::stream::BoxStream<'static, Result<T>> {
    let stream: std::pin::Pin<Box<dyn Stream<Item = Result<T>> + Send>> =
        Box::pin(stream.map(move |item| item.map_err(&failed)));
    stream
}

fn unix_connector(
    socket: PathBuf,
) -> impl tower::Service<Uri, Response = TokioIo<UnixStream>, Error = std::io::Error, Future: Send + 'static>
+ Send
+ 'static {
    tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    })
}

async fn within<T>(
    rpc: &'static str,
    deadline: Duration,
    call: impl Future<Output = std::result::Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T> {
    match tokio::time::timeout(deadline, call).await {
        Ok(answer) => {
            answer.map(tonic::Response::into_inner).map_err(|s| Error::from_status(rpc, deadline, &s))
        }
        Err(_) => Err(Error::Deadline { rpc, after: deadline }),
    }
}

/// One row per RPC: its service, name, messages, and the deadline as a function of the configuration and the request.
macro_rules! rpcs {
    ($($(#[$doc:meta])* $service:ident.$name:ident($request:ident) -> $response:ident, $deadline:expr;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                pub async fn $name(&self, request: v1::$request) -> Result<v1::$response> {
                    let deadline: fn(&Config, &v1::$request) -> Duration = $deadline;
                    let deadline = deadline(&self.config, &request);
                    let mut service = self.$service.clone();
                    let mut message = tonic::Request::new(request);
                    message.set_timeout(deadline);
                    within(stringify!($name), deadline, service.$name(message)).await
                }
            )*
        }
    };
}

/// The runtime's own timeouts (a grace period, a command's limit) come on top of the call's.
fn plus_seconds(base: Duration, seconds: i64) -> Duration {
    base.saturating_add(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

rpcs! {
    /// The runtime's name and version.
    runtime.version(VersionRequest) -> VersionResponse, |c, _| c.request_timeout;
    /// Whether the runtime and its network are ready.
    runtime.status(StatusRequest) -> StatusResponse, |c, _| c.request_timeout;
    /// Creates and starts a pod's sandbox with its network.
    runtime.run_pod_sandbox(RunPodSandboxRequest) -> RunPodSandboxResponse, |c, _| c.request_timeout * 2;
    /// Stops a sandbox and everything in it; a stopped or missing one is no error.
    runtime.stop_pod_sandbox(StopPodSandboxRequest) -> StopPodSandboxResponse, |c, _| c.request_timeout;
    /// Removes a sandbox and its containers; a missing one is no error.
    runtime.remove_pod_sandbox(RemovePodSandboxRequest) -> RemovePodSandboxResponse, |c, _| c.request_timeout;
    /// A sandbox's state and addresses.
    runtime.pod_sandbox_status(PodSandboxStatusRequest) -> PodSandboxStatusResponse, |c, _| c.request_timeout;
    /// The sandboxes that match a filter.
    runtime.list_pod_sandbox(ListPodSandboxRequest) -> ListPodSandboxResponse, |c, _| c.request_timeout;
    /// Creates a container in a sandbox, not yet started.
    runtime.create_container(CreateContainerRequest) -> CreateContainerResponse, |c, _| c.request_timeout;
    /// Starts a created container.
    runtime.start_container(StartContainerRequest) -> StartContainerResponse, |c, _| c.request_timeout;
    /// Stops a container: its stop signal, then after `timeout` seconds SIGKILL.
    runtime.stop_container(StopContainerRequest) -> StopContainerResponse, |c, r| plus_seconds(c.request_timeout, r.timeout);
    /// Removes a container, killing it first if it runs; a missing one is no error.
    runtime.remove_container(RemoveContainerRequest) -> RemoveContainerResponse, |c, _| c.request_timeout;
    /// The containers that match a filter.
    runtime.list_containers(ListContainersRequest) -> ListContainersResponse, |c, _| c.request_timeout;
    /// A container's state, exit code and times.
    runtime.container_status(ContainerStatusRequest) -> ContainerStatusResponse, |c, _| c.request_timeout;
    /// Changes a running container's limits.
    runtime.update_container_resources(UpdateContainerResourcesRequest) -> UpdateContainerResourcesResponse, |c, _| c.request_timeout;
    /// Makes the runtime reopen a container's log file after it was rotated.
    runtime.reopen_container_log(ReopenContainerLogRequest) -> ReopenContainerLogResponse, |c, _| c.request_timeout;
    /// Runs a command in a container and returns its output. A `timeout` of zero means none but this client's.
    runtime.exec_sync(ExecSyncRequest) -> ExecSyncResponse, |c, r| plus_seconds(c.request_timeout, r.timeout);
    /// Prepares a command with streams; the answer's URL is for [`crate::streaming`].
    runtime.exec(ExecRequest) -> ExecResponse, |c, _| c.request_timeout;
    /// Prepares streams to a container's main process; the answer's URL is for [`crate::streaming`].
    runtime.attach(AttachRequest) -> AttachResponse, |c, _| c.request_timeout;
    /// Prepares a port forward into a sandbox.
    runtime.port_forward(PortForwardRequest) -> PortForwardResponse, |c, _| c.request_timeout;
    /// One container's resource use.
    runtime.container_stats(ContainerStatsRequest) -> ContainerStatsResponse, |c, _| c.request_timeout;
    /// All containers' resource use.
    runtime.list_container_stats(ListContainerStatsRequest) -> ListContainerStatsResponse, |c, _| c.request_timeout;
    /// One sandbox's resource use.
    runtime.pod_sandbox_stats(PodSandboxStatsRequest) -> PodSandboxStatsResponse, |c, _| c.request_timeout;
    /// All sandboxes' resource use.
    runtime.list_pod_sandbox_stats(ListPodSandboxStatsRequest) -> ListPodSandboxStatsResponse, |c, _| c.request_timeout;
    /// Tells the runtime the node's pod CIDR.
    runtime.update_runtime_config(UpdateRuntimeConfigRequest) -> UpdateRuntimeConfigResponse, |c, _| c.request_timeout;
    /// The runtime's cgroup driver.
    runtime.runtime_config(RuntimeConfigRequest) -> RuntimeConfigResponse, |c, _| c.request_timeout;
    /// Saves a container's state to a file. A `timeout` of zero means none but this client's.
    runtime.checkpoint_container(CheckpointContainerRequest) -> CheckpointContainerResponse, |c, r| plus_seconds(c.request_timeout, r.timeout);
    /// The metrics the runtime can report.
    runtime.list_metric_descriptors(ListMetricDescriptorsRequest) -> ListMetricDescriptorsResponse, |c, _| c.request_timeout;
    /// All sandboxes' metrics.
    runtime.list_pod_sandbox_metrics(ListPodSandboxMetricsRequest) -> ListPodSandboxMetricsResponse, |c, _| c.request_timeout;
    /// Changes a running sandbox's limits.
    runtime.update_pod_sandbox_resources(UpdatePodSandboxResourcesRequest) -> UpdatePodSandboxResourcesResponse, |c, _| c.request_timeout;
    /// The images the runtime has.
    images.list_images(ListImagesRequest) -> ListImagesResponse, |c, _| c.request_timeout;
    /// One image, or nothing if the runtime does not have it.
    images.image_status(ImageStatusRequest) -> ImageStatusResponse, |c, _| c.request_timeout;
    /// Pulls an image from its registry.
    images.pull_image(PullImageRequest) -> PullImageResponse, |c, _| c.pull_timeout;
    /// Removes an image; a missing one is no error.
    images.remove_image(RemoveImageRequest) -> RemoveImageResponse, |c, _| c.request_timeout;
    /// How much space images take.
    images.image_fs_info(ImageFsInfoRequest) -> ImageFsInfoResponse, |c, _| c.request_timeout;
}
