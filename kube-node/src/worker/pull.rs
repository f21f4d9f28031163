//! Getting a container's image onto the node.

use k8s_openapi::api::core::v1::Secret;

use super::{ops::Subject, start::StartError};
use crate::{
    Error,
    events::Level,
    pod::spec::{PodContainer, pod_ref, spec_of},
    seam::{ImageStatus, RegistryAuth},
};

/// Makes sure that the image is there, by the container's pull policy.
pub(super) async fn ensure(subject: &Subject, container: &PodContainer) -> Result<ImageStatus, StartError> {
    let image = container.spec.image.clone().unwrap_or_default();
    let images = subject.context.runtime.images();
    let say = |level, reason, message| {
        subject.context.events.pod(&subject.pod, Some(container.name()), level, reason, message)
    };
    let policy = container.spec.image_pull_policy.as_deref().unwrap_or_else(|| default_policy(&image));
    let present = images.status(&image).await.map_err(|e| {
        let message = format!("Failed to inspect image {image:?}: {e}");
        say(Level::Warning, "InspectFailed", message.clone());
        StartError::image("ImageInspectError", message, &image)
    })?;
    match (present, policy) {
        (Some(status), "IfNotPresent" | "Never") => {
            let message = format!("Container image {image:?} already present on machine");
            say(Level::Normal, "Pulled", message);
            return Ok(status);
        }
        (None, "Never") => {
            let message = format!("Container image {image:?} is not present with pull policy of Never");
            say(Level::Warning, "ErrImageNeverPull", message.clone());
            return Err(StartError::new("ErrImageNeverPull", message));
        }
        _ => {}
    }
    pull(subject, container, &image).await
}

/// `Always` for `latest` and untagged images, else `IfNotPresent`; the API server normally fills this in.
fn default_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once(':') {
        _ if last.contains('@') => "IfNotPresent",
        None | Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
    }
}

async fn pull(subject: &Subject, container: &PodContainer, image: &str) -> Result<ImageStatus, StartError> {
    let images = subject.context.runtime.images();
    let say = |level, reason, message| {
        subject.context.events.pod(&subject.pod, Some(container.name()), level, reason, message)
    };
    say(Level::Normal, "Pulling", format!("Pulling image {image:?}"));
    let began = tokio::time::Instant::now();
    let auths = credentials(subject, image).await;
    let mut result = Err(Error::Unavailable { what: "registry", reason: "not asked".to_owned() });
    for auth in auths.iter().map(Some).chain(auths.is_empty().then_some(None)) {
        result = images.pull(image, auth).await;
        if result.is_ok() {
            break;
        }
    }
    let found = match result {
        Ok(reference) => match images.status(&reference).await {
            Ok(Some(status)) => Ok(ImageStatus { id: reference, ..status }),
            Ok(None) => Ok(ImageStatus { id: reference, ..ImageStatus::default() }),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match found {
        Ok(status) => {
            let took = format!("{:.3}s", began.elapsed().as_secs_f64());
            let text = format!(
                "Successfully pulled image {image:?} in {took} ({took} including waiting). Image size: {} bytes.",
                status.size
            );
            say(Level::Normal, "Pulled", text);
            Ok(status)
        }
        Err(error) => {
            say(Level::Warning, "Failed", format!("Failed to pull image {image:?}: {error}"));
            Err(StartError::image("ErrImagePull", error.to_string(), image))
        }
    }
}

/// What the pod's image pull secrets say about the image's registry, best match first.
async fn credentials(subject: &Subject, image: &str) -> Vec<RegistryAuth> {
    let namespace = pod_ref(&subject.pod).namespace;
    let mut found = Vec::new();
    for reference in spec_of(&subject.pod).image_pull_secrets.iter().flatten() {
        if let Ok(Some(secret)) = subject.context.objects.secret(&namespace, &reference.name).await {
            found.extend(from_secret(&secret, image));
        }
    }
    found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    found.into_iter().map(|(_, auth)| auth).collect()
}

/// Matching entries of a `kubernetes.io/dockerconfigjson` or `kubernetes.io/dockercfg` secret, with the length of the match.
fn from_secret(secret: &Secret, image: &str) -> Vec<(usize, RegistryAuth)> {
    let data = secret.data.clone().unwrap_or_default();
    let parse =
        |key: &str| data.get(key).and_then(|b| serde_json::from_slice::<serde_json::Value>(&b.0).ok());
    let entries = match (parse(".dockerconfigjson"), parse(".dockercfg")) {
        (Some(config), _) => config.get("auths").cloned().unwrap_or_default(),
        (None, Some(config)) => config,
        (None, None) => return Vec::new(),
    };
    let full = full_name(image);
    let entries = entries.as_object().cloned().unwrap_or_default();
    let matching = entries.into_iter().filter_map(|(host, entry)| {
        let place = host
            .trim_start_matches("https://")
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let place = place.trim_end_matches("/v1").trim_end_matches("/v2");
        let place = if place == "index.docker.io" { "docker.io" } else { place };
        full.starts_with(place).then(|| Some((place.len(), auth_of(&entry)?))).flatten()
    });
    matching.collect()
}

fn full_name(image: &str) -> String {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => image.to_owned(),
        _ => format!("docker.io/{image}"),
    }
}

fn auth_of(entry: &serde_json::Value) -> Option<RegistryAuth> {
    use base64::Engine;
    let word = |key: &str| entry.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    let mut auth =
        RegistryAuth { username: word("username"), password: word("password"), ..RegistryAuth::default() };
    let packed = base64::engine::general_purpose::STANDARD.decode(word("auth")).unwrap_or_default();
    if let Some((user, password)) = String::from_utf8(packed).ok().as_deref().and_then(|p| p.split_once(':'))
    {
        (auth.username, auth.password) = (user.to_owned(), password.to_owned());
    }
    auth.identity_token = word("identitytoken");
    (!auth.username.is_empty() || !auth.identity_token.is_empty()).then_some(auth)
}
