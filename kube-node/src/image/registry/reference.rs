//! Where an image is.

use crate::image::name::repository;
use crate::{Error, Result};

/// The longest name that is taken, in bytes.
const MAX_NAME: usize = 255;
/// The longest tag.
const MAX_TAG: usize = 128;

/// An image name in full form, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    registry: String,
    repository: String,
    target: String,
}

impl Reference {
    /// Takes a [normalized](crate::image::normalize) name apart.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is none: its parts end up in the path of a request, so nothing else may be in them.
    pub(crate) fn parse(normalized: &str) -> Result<Self> {
        let place = repository(normalized);
        let rest = normalized.get(place.len()..).unwrap_or_default();
        let target = rest.strip_prefix(['@', ':']).unwrap_or_default();
        let is_target = if rest.starts_with('@') { is_digest(target) } else { is_tag(target) };
        match place.split_once('/') {
            Some((registry, path)) if is_registry(registry) && is_repository(path) && is_target => Ok(Self {
                registry: registry.to_owned(),
                repository: path.to_owned(),
                target: target.to_owned(),
            }),
            _ => Err(Error::Invalid(format!(
                "couldn't parse image name {normalized:?}: invalid reference format"
            ))),
        }
    }

    /// Scheme, host and port. Registries on this machine are spoken to without TLS, as Docker and containerd do.
    pub(super) fn origin(&self) -> String {
        let host = if self.registry == "docker.io" { "registry-1.docker.io" } else { &self.registry };
        format!("{}://{host}", if is_local(host_of(host)) { "http" } else { "https" })
    }

    /// The repository's path in its registry.
    pub(super) fn repository(&self) -> &str {
        &self.repository
    }

    /// Tag or digest.
    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// Whether the image is named by its digest.
    pub(super) fn names_digest(&self) -> bool {
        self.target.contains(':')
    }
}

/// The host of `host:port`; brackets stay.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Whether a host is this machine.
pub(super) fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

fn is_registry(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(plain)
}

/// Lower-case words between slashes, joined by `.`, `_`, `__` or dashes.
fn is_repository(text: &str) -> bool {
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        let ends = [part.bytes().next(), part.bytes().next_back()];
        ends.into_iter().all(|end| end.is_some_and(lower))
            && part.bytes().all(|byte| lower(byte) || b"._-".contains(&byte))
            && !part.contains("..")
    };
    text.len() <= MAX_NAME && text.split('/').all(is_part)
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().next().is_some_and(word)
        && text.len() <= MAX_TAG
        && text.bytes().all(|byte| word(byte) || b".-".contains(&byte))
}

fn is_digest(text: &str) -> bool {
    super::digest::Hasher::expecting(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_places() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (name, origin, repository, target) in [
            ("docker.io/library/nginx:1", "https://registry-1.docker.io", "library/nginx", "1"),
            ("localhost:5000/a/b:latest", "http://localhost:5000", "a/b", "latest"),
            ("127.0.0.1:5000/a:x", "http://127.0.0.1:5000", "a", "x"),
            ("127.0.0.2:5000/a:x", "https://127.0.0.2:5000", "a", "x"),
            ("[::1]:5000/a:x", "http://[::1]:5000", "a", "x"),
            ("[::1]/a:x", "http://[::1]", "a", "x"),
            (&format!("ghcr.io/a@{digest}"), "https://ghcr.io", "a", &digest),
        ] {
            let found = Reference::parse(name).expect(name);
            assert_eq!((&*found.origin(), found.repository(), found.target()), (origin, repository, target));
            assert_eq!(found.names_digest(), name.contains('@'));
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in [
            "docker.io/library/Nginx:1",
            "docker.io/library/../x:1",
            "docker.io/a?b:1",
            "docker.io/a b:1",
            "docker.io//a:1",
            "a@b/c:1",
            "docker.io/library/x:",
            "docker.io/library/x:a/b",
            "docker.io/library/x@sha256:12",
            "docker.io/library/x@md5:00000000000000000000000000000000",
        ] {
            assert!(matches!(Reference::parse(name), Err(Error::Invalid(_))), "{name}");
        }
    }
}
