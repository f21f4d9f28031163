//! Image names.

/// The full form of an image name: registry and repository as Docker's clients complete them, tag `latest` when there is neither tag nor
/// digest. Names of registry `localhost` stay there.
///
/// ```
/// use kube_node::image::normalize;
/// assert_eq!(normalize("nginx"), "docker.io/library/nginx:latest");
/// assert_eq!(normalize("localhost/demo"), "localhost/demo:latest");
/// assert_eq!(normalize("example.com:5000/a/b:1"), "example.com:5000/a/b:1");
/// ```
#[must_use]
pub fn normalize(name: &str) -> String {
    let (rest, digest) = name.split_once('@').map_or((name, None), |(rest, digest)| (rest, Some(digest)));
    let (repository, tag) = match rest.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (rest, None),
    };
    let repository = complete(repository);
    match (digest, tag) {
        (Some(digest), _) => format!("{repository}@{digest}"),
        (None, tag) => format!("{repository}:{}", tag.unwrap_or("latest")),
    }
}

/// The name without tag and digest.
pub(super) fn repository(normalized: &str) -> &str {
    let rest = normalized.split_once('@').map_or(normalized, |(rest, _)| rest);
    match rest.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => rest,
    }
}

fn complete(repository: &str) -> String {
    match repository.split_once('/') {
        Some(("docker.io" | "index.docker.io", path)) if path.contains('/') => format!("docker.io/{path}"),
        Some(("docker.io" | "index.docker.io", path)) => format!("docker.io/library/{path}"),
        Some((first, _)) if first == "localhost" || first.contains(['.', ':']) => repository.to_owned(),
        Some(_) => format!("docker.io/{repository}"),
        None => format!("docker.io/library/{repository}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (name, expected) in [
            ("nginx", "docker.io/library/nginx:latest".to_owned()),
            ("nginx:1.25", "docker.io/library/nginx:1.25".to_owned()),
            ("bitnami/redis", "docker.io/bitnami/redis:latest".to_owned()),
            ("docker.io/nginx", "docker.io/library/nginx:latest".to_owned()),
            ("localhost/demo", "localhost/demo:latest".to_owned()),
            ("localhost:5000/demo", "localhost:5000/demo:latest".to_owned()),
            ("ghcr.io/a/b:v1", "ghcr.io/a/b:v1".to_owned()),
            (&format!("ghcr.io/a/b:v1@{digest}"), format!("ghcr.io/a/b@{digest}")),
        ] {
            assert_eq!(normalize(name), expected, "{name}");
            assert_eq!(normalize(&expected), expected, "twice: {name}");
        }
        assert_eq!(repository("localhost:5000/demo:latest"), "localhost:5000/demo");
    }
}
