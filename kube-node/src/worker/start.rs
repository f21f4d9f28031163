//! Starting one container: image, environment, mounts, create, start, postStart.

use futures::FutureExt;

use super::{hooks, ops::Subject, pull};
use crate::{
    Error,
    config::Files,
    env::{self, EnvContext},
    events::Level,
    objects::Reference,
    pod::{
        config::{ContainerInputs, container_config},
        mirror::is_static,
        spec::{PodContainer, pod_ref},
    },
    seam::{ContainerConfig, ContainerId, ImageStatus, Mount},
    volumes::{PodDirs, container_mounts},
};

/// Why a container was not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StartError {
    /// The word in the container's status.
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// The image, when that is the trouble.
    pub(super) image: Option<String>,
}

impl StartError {
    pub(super) fn new(reason: &'static str, message: String) -> Self {
        Self { reason, message, image: None }
    }

    pub(super) fn image(reason: &'static str, message: String, image: &str) -> Self {
        Self { reason, message, image: Some(image.to_owned()) }
    }
}

/// Starts an instance of a container. When this is cancelled, at most a created container is left, which the next plan removes.
pub(super) async fn start(subject: &Subject, name: &str, attempt: u32) -> Result<(), StartError> {
    let gone =
        || StartError::new("CreateContainerError", format!("container {name} is not in the pod's spec"));
    let container = subject.container(name).ok_or_else(gone)?;
    let say =
        |level, reason, message| subject.context.events.pod(&subject.pod, Some(name), level, reason, message);
    let failed = |reason: &'static str, error: Error| {
        say(Level::Warning, "Failed", format!("Error: {error}"));
        StartError::new(reason, error.to_string())
    };
    let image = match pull::ensure(subject, container).await {
        Ok(image) => image,
        Err(error) => {
            say(Level::Warning, "Failed", format!("Error: {}", error.reason));
            return Err(error);
        }
    };
    let config = configure(subject, container, attempt, image).await;
    let config = config.map_err(|e| failed("CreateContainerConfigError", e))?;
    let id = create(subject, &config).await.map_err(|e| failed("CreateContainerError", e))?;
    say(Level::Normal, "Created", "Container created".to_owned());
    let runtime = &subject.context.runtime;
    runtime.start_container(&id).await.map_err(|e| failed("RunContainerError", e))?;
    say(Level::Normal, "Started", "Container started".to_owned());
    if let Err(error) = hooks::post_start(subject, &id, container).await {
        let grace = subject.pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds).unwrap_or(30);
        let grace = std::time::Duration::from_secs(u64::try_from(grace).unwrap_or_default());
        say(Level::Normal, "Killing", "FailedPostStartHook".to_owned());
        let _ = runtime.stop_container(&id, grace, None).await;
        return Err(StartError::new("PostStartHookError", error.to_string()));
    }
    Ok(())
}

async fn create(subject: &Subject, config: &ContainerConfig) -> Result<ContainerId, Error> {
    let sandbox = subject.sandbox.as_ref();
    let sandbox = sandbox.ok_or(Error::Unavailable { what: "sandbox", reason: "it is gone".to_owned() })?;
    let sandbox_config = subject.sandbox_config(sandbox.attempt);
    subject.context.runtime.create_container(&sandbox.id, config, &sandbox_config).await
}

async fn configure(
    subject: &Subject,
    container: &PodContainer,
    attempt: u32,
    image: ImageStatus,
) -> Result<ContainerConfig, Error> {
    let envs = environment(subject, container).await?;
    let mounts = mounts(subject, container, attempt, &envs).await?;
    let target = container
        .target
        .as_ref()
        .and_then(|name| subject.running.iter().find(|(n, _)| n == name).map(|(_, id)| id.0.clone()));
    let memory_capacity = subject.context.capacity.memory_bytes;
    let inputs = ContainerInputs { attempt, image, envs, mounts, target, memory_capacity };
    container_config(&subject.pod, container, inputs)
}

async fn environment(subject: &Subject, container: &PodContainer) -> Result<Vec<(String, String)>, Error> {
    let (context, namespace) = (&subject.context, pod_ref(&subject.pod).namespace);
    let mut env = EnvContext { fields: context.fields(subject.ips()), ..EnvContext::default() };
    let services = context.objects.services(&namespace);
    env.services = match is_static(&subject.pod) {
        // It may be what the API server is waiting for.
        true => services.now_or_never().unwrap_or_default(),
        false => services.await,
    };
    for reference in env::references(&container.spec) {
        match reference {
            Reference::ConfigMap(name) => {
                let found = context.objects.config_map(&namespace, &name).await?;
                env.config_maps.insert(name, found);
            }
            Reference::Secret(name) => {
                let found = context.objects.secret(&namespace, &name).await?;
                env.secrets.insert(name, found);
            }
        }
    }
    env::resolve(&subject.pod, &container.spec, &env)
}

async fn mounts(
    subject: &Subject,
    container: &PodContainer,
    attempt: u32,
    envs: &[(String, String)],
) -> Result<Vec<Mount>, Error> {
    if subject.context.config.files == Files::Skip {
        return Ok(Vec::new());
    }
    let dirs = PodDirs::new(&subject.context.config.root_dir, &pod_ref(&subject.pod).uid);
    let (pod, mounted, envs) = (subject.pod.clone(), subject.mounted.clone(), envs.to_vec());
    let (container, ips) = (container.spec.clone(), subject.ips());
    let domain = subject.context.config.cluster_domain.clone();
    let work = move || container_mounts(&pod, &container, attempt, &mounted, &dirs, (&ips, &domain), &envs);
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|_| {
        Err(Error::Unavailable { what: "blocking pool", reason: "it has shut down".to_owned() })
    })
}
