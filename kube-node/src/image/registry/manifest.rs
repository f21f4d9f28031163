//! Manifests.

use super::{Fault, Repository, digest::Hasher, patience::persist, transport::Ask};
use crate::image::{
    document::{Document, MAX_DOCUMENT, architecture},
    layer::digest_text,
};

/// What this client understands, the kinds with a choice of platforms first.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, */*";
/// How many indexes one inside the other are looked through.
const MAX_DEPTH: usize = 4;

/// A manifest or an index, with the digest it was checked against.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) digest: String,
    pub(crate) document: Document,
}

impl Repository<'_> {
    /// What the image's name leads to: an index, when there are several platforms. Its digest is the image's.
    pub(crate) async fn resolve(&self) -> Result<Fetched, Fault> {
        let (target, limits) = (self.reference.target(), &self.client.transport.limits);
        let promised = self.reference.names_digest().then_some(target);
        persist(limits, || self.fetch(target, promised)).await
    }

    /// The manifest for this machine.
    pub(crate) async fn manifest(&self, resolved: Document) -> Result<Document, Fault> {
        let mut document = resolved;
        for _ in 0..MAX_DEPTH {
            if document.config.is_some() {
                return Ok(document);
            }
            let none = || {
                let ours = format!("linux/{}", architecture());
                Fault::Content(format!("no match for platform {ours} in manifest: not found"))
            };
            let entry = document.for_this_machine().ok_or_else(none)?.clone();
            let digest = entry.digest.as_str();
            let limits = &self.client.transport.limits;
            let fetched = persist(limits, || self.fetch(digest, Some(digest))).await;
            document = match fetched {
                // The image is there, only in pieces.
                Err(Fault::NotFound) => {
                    return Err(Fault::Content(format!("content at {digest} not found")));
                }
                other => other?.document,
            };
        }
        Err(Fault::Content(format!("more than {MAX_DEPTH} indexes inside each other")))
    }

    async fn fetch(&self, target: &str, promised: Option<&str>) -> Result<Fetched, Fault> {
        let uri = self.uri("manifests", target)?;
        let answer = self.ask(Ask { uri, accept: ACCEPT, from: 0 }).await?;
        if !answer.status().is_success() {
            return Err(answer.refusal().await);
        }
        let said = answer.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
        let said = said.filter(|digest| Hasher::expecting(digest).is_some());
        let expected = promised.or(said).map(str::to_owned);
        let body = answer.read(MAX_DOCUMENT).await?;
        if let Some(expected) = &expected {
            check(&body, expected)?;
        }
        let digest = expected.unwrap_or_else(|| digest_of(&body));
        let document: Document = serde_json::from_slice(&body)
            .map_err(|error| Fault::Content(format!("manifest {digest}: {error}")))?;
        match (document.schema_version, document.config.is_some(), document.manifests.is_empty()) {
            (1, ..) => Err(Fault::Content(format!("manifest {digest}: schema version 1 is not supported"))),
            // Two readers might each see the half they look for.
            (_, true, false) => {
                Err(Fault::Content(format!("manifest {digest}: both an index and a manifest")))
            }
            _ => Ok(Fetched { digest, document }),
        }
    }
}

fn check(body: &[u8], expected: &str) -> Result<(), Fault> {
    let hasher = Hasher::expecting(expected);
    let mut hasher = hasher.ok_or_else(|| Fault::Content(format!("unknown kind of digest {expected:?}")))?;
    hasher.update(body);
    match hasher.matches() {
        true => Ok(()),
        false => Err(Fault::Content(format!("manifest {expected} has other content"))),
    }
}

fn digest_of(body: &[u8]) -> String {
    use sha2::Digest;
    digest_text(&sha2::Sha256::digest(body))
}
