//! From a request to a user.

use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap};

use super::{Tokens, User};
use crate::error::{Error, Result};
use crate::registry::Registry;
use crate::serve::ClientCertificate;

/// A user that the caller in this process vouches for. It travels in the request's extensions, which nothing on the wire
/// can set.
#[derive(Debug, Clone)]
pub(crate) struct InProcess(pub(crate) User);

/// Tries, in this order: the caller in this process, the client's certificate, the bearer token.
#[derive(Debug)]
pub(crate) struct Authenticator {
    pub(crate) tokens: Option<Tokens>,
}

impl Authenticator {
    pub(crate) async fn authenticate(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
        registry: &Registry,
    ) -> Result<User> {
        if let Some(InProcess(user)) = extensions.get() {
            return Ok(user.clone());
        }
        if let Some(certificate) = extensions.get::<ClientCertificate>() {
            return Ok(User::new(certificate.common_name.clone(), certificate.organizations.iter().cloned()));
        }
        let Some(header) = headers.get(AUTHORIZATION) else { return Ok(User::anonymous()) };
        let token = header.to_str().ok().and_then(|h| {
            let (scheme, token) = h.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let token = token.ok_or(Error::Unauthorized)?;
        self.token(token, &[], registry).await.map(|(user, _)| user)
    }

    /// The user of a token and the audiences, among those asked for, that it is meant for.
    pub(crate) async fn token(
        &self,
        token: &str,
        audiences: &[String],
        registry: &Registry,
    ) -> Result<(User, Vec<String>)> {
        let tokens = self.tokens.as_ref().ok_or(Error::Unauthorized)?;
        tokens.verify(token, audiences, registry).await
    }
}
