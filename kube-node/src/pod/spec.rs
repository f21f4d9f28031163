//! One list of all containers of a pod, whatever field they come from.

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec};
use sha2::{Digest, Sha256};

use crate::seam::PodRef;

/// Which role a container plays in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Runs to its end before the next one.
    Init,
    /// An init container with `restartPolicy: Always`: runs as long as the pod.
    Sidecar,
    /// One of `spec.containers`.
    App,
    /// Added later for debugging; never restarted.
    Ephemeral,
}

/// When an ended container is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

/// A container with its role.
#[derive(Debug, Clone)]
pub(crate) struct PodContainer {
    pub(crate) kind: Kind,
    pub(crate) spec: Container,
    /// The container whose processes an ephemeral one wants to see.
    pub(crate) target: Option<String>,
    pub(crate) policy: RestartPolicy,
}

impl PodContainer {
    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    /// Whether an end with `exit_code` is followed by another start.
    pub(crate) fn restarts_after(&self, exit_code: i32) -> bool {
        if let Some(restart) = self.rule_for(exit_code) {
            return restart;
        }
        match self.policy {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => exit_code != 0,
            RestartPolicy::Never => false,
        }
    }

    fn rule_for(&self, exit_code: i32) -> Option<bool> {
        let rules = self.spec.restart_policy_rules.as_deref().unwrap_or_default();
        let matching = rules.iter().find(|rule| {
            rule.exit_codes.as_ref().is_some_and(|codes| {
                let listed = codes.values.as_ref().is_some_and(|v| v.contains(&exit_code));
                listed == (codes.operator == "In")
            })
        })?;
        Some(matching.action.starts_with("Restart"))
    }

    /// Identifies the part of the spec whose change restarts a running container: name and image.
    pub(crate) fn hash(&self) -> String {
        let text = format!("{}\0{}", self.spec.name, self.spec.image.as_deref().unwrap_or_default());
        Sha256::digest(text.as_bytes()).iter().take(4).map(|b| format!("{b:02x}")).collect()
    }
}

fn parse_policy(text: Option<&str>) -> Option<RestartPolicy> {
    match text? {
        "Always" => Some(RestartPolicy::Always),
        "OnFailure" => Some(RestartPolicy::OnFailure),
        "Never" => Some(RestartPolicy::Never),
        _ => None,
    }
}

/// `spec.restartPolicy`.
pub(crate) fn pod_policy(pod: &Pod) -> RestartPolicy {
    let text = pod.spec.as_ref().and_then(|s| s.restart_policy.as_deref());
    parse_policy(text).unwrap_or(RestartPolicy::Always)
}

/// All containers: init and sidecar containers in order, then app, then ephemeral ones.
pub(crate) fn containers(pod: &Pod) -> Vec<PodContainer> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let policy = pod_policy(pod);
    let init = spec.init_containers.iter().flatten().map(|c| init_container(c, policy));
    let app = spec.containers.iter().map(|c| PodContainer {
        kind: Kind::App,
        spec: c.clone(),
        target: None,
        policy: parse_policy(c.restart_policy.as_deref()).unwrap_or(policy),
    });
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(ephemeral_container);
    init.chain(app).chain(ephemeral).collect()
}

fn init_container(spec: &Container, pod_policy: RestartPolicy) -> PodContainer {
    let own = parse_policy(spec.restart_policy.as_deref());
    let (kind, policy) = match own {
        Some(RestartPolicy::Always) => (Kind::Sidecar, RestartPolicy::Always),
        Some(other) => (Kind::Init, other),
        // A regular init container that succeeded is done, whatever the pod says.
        None if pod_policy == RestartPolicy::Never => (Kind::Init, RestartPolicy::Never),
        None => (Kind::Init, RestartPolicy::OnFailure),
    };
    PodContainer { kind, spec: spec.clone(), target: None, policy }
}

fn ephemeral_container(c: &EphemeralContainer) -> PodContainer {
    let c = c.clone();
    let spec = Container {
        args: c.args,
        command: c.command,
        env: c.env,
        env_from: c.env_from,
        image: c.image,
        image_pull_policy: c.image_pull_policy,
        name: c.name,
        security_context: c.security_context,
        stdin: c.stdin,
        stdin_once: c.stdin_once,
        termination_message_path: c.termination_message_path,
        termination_message_policy: c.termination_message_policy,
        tty: c.tty,
        volume_devices: c.volume_devices,
        volume_mounts: c.volume_mounts,
        working_dir: c.working_dir,
        ..Container::default()
    };
    PodContainer {
        kind: Kind::Ephemeral,
        spec,
        target: c.target_container_name,
        policy: RestartPolicy::Never,
    }
}

/// The pod's spec, or an empty one.
pub(crate) fn spec_of(pod: &Pod) -> std::borrow::Cow<'_, PodSpec> {
    match &pod.spec {
        Some(spec) => std::borrow::Cow::Borrowed(spec),
        None => std::borrow::Cow::Owned(PodSpec::default()),
    }
}

/// Namespace, name and uid.
pub(crate) fn pod_ref(pod: &Pod) -> PodRef {
    let meta = &pod.metadata;
    PodRef {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
    }
}

/// How a pod is named in kubelet messages: `name_namespace(uid)`.
pub(crate) fn full_name(pod: &PodRef) -> String {
    format!("{}_{}({})", pod.name, pod.namespace, pod.uid)
}

/// `spec.hostNetwork`.
pub(crate) fn host_network(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|s| s.host_network).unwrap_or_default()
}
