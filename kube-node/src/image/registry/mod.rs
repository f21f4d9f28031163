//! A client of image registries: the OCI distribution specification, which is Docker's registry protocol, version 2.
//!
//! It asks for nothing but what pulling needs: manifests (following an index to this machine's platform) and blobs. A registry is hostile
//! input: every answer has a bound, every content is compared with its digest while it arrives, credentials go to the registry
//! and to the token service that it names and nowhere else, and nothing that began over TLS goes on without.
//!
//! | module | what |
//! |---|---|
//! | `reference` | where an image is: registry, repository, tag or digest |
//! | `digest` | comparing content with its digest |
//! | `fault` | what can go wrong, and what containerd would call it |
//! | `patience` | how long to wait, and how often to try again |
//! | `connect` | TCP and TLS |
//! | `transport`, `answer` | one request, its redirects, its bounded answer |
//! | `address` | which address may lead to which |
//! | `challenge` | what a registry wants to know first |
//! | `auth` | credentials and tokens |
//! | `manifest`, `blob` | the two things that are fetched |

mod address;
mod answer;
mod auth;
mod blob;
mod challenge;
mod connect;
mod digest;
mod fault;
mod manifest;
mod patience;
mod reference;
#[cfg(test)]
mod tests;
mod transport;

use http::Uri;

use self::{
    answer::Answer,
    auth::{Credentials, Grants},
    transport::{Ask, Transport},
};
use crate::seam::RegistryAuth;

pub(super) use self::{connect::Roots, fault::Fault, patience::Limits, reference::Reference};

/// Speaks to registries. It keeps connections and tokens, so one serves all pulls of a node.
#[derive(Debug)]
pub(super) struct RegistryClient {
    transport: Transport,
    grants: Grants,
}

impl RegistryClient {
    /// A client that trusts `roots`.
    pub(super) fn new(roots: Roots, limits: Limits) -> Self {
        Self { transport: Transport::new(roots, limits), grants: Grants::default() }
    }

    /// One repository, as somebody with these credentials sees it.
    pub(super) fn repository<'a>(
        &'a self,
        reference: &'a Reference,
        auth: Option<&RegistryAuth>,
    ) -> Repository<'a> {
        Repository { client: self, reference, credentials: Credentials::new(auth) }
    }
}

/// A repository of a registry.
#[derive(Debug)]
pub(super) struct Repository<'a> {
    client: &'a RegistryClient,
    reference: &'a Reference,
    credentials: Credentials,
}

impl Repository<'_> {
    fn uri(&self, what: &str, which: &str) -> Result<Uri, Fault> {
        let text = format!("{}/v2/{}/{what}/{which}", self.reference.origin(), self.reference.repository());
        text.parse().map_err(|error| Fault::Content(format!("{text}: {error}")))
    }

    /// Asks once, and a second time with what the registry wants to know, if it does.
    async fn ask(&self, ask: Ask) -> Result<Answer, Fault> {
        let (transport, grants) = (&self.client.transport, &self.client.grants);
        let key = self.credentials.key(self.reference);
        let known = self.credentials.given().or_else(|| grants.get(&key));
        let answer = transport.get(&ask, known.as_ref()).await?;
        if answer.status() != http::StatusCode::UNAUTHORIZED || answer.strayed {
            return Ok(answer);
        }
        grants.forget(&key);
        let Some(challenge) = answer.challenge() else { return Ok(answer) };
        let Some(grant) = self.credentials.answer(transport, &challenge, &ask.uri, self.reference).await?
        else {
            return Ok(answer);
        };
        let header = grant.header.clone();
        grants.keep(key, grant);
        transport.get(&ask, Some(&header)).await
    }
}
