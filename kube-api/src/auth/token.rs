//! Service account tokens as credentials: signature, times and audience, and whether what a token is bound to still exists.

use std::collections::BTreeMap;

use super::User;
use crate::error::{Error, Result};
use crate::object::meta;
use crate::registry::Registry;
use crate::token::{Bound, Claims, Signer};

/// Accepts what a signer signed.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) signer: Signer,
    pub(crate) audiences: Vec<String>,
}

impl Tokens {
    /// The user of a token, and which of the audiences it is meant for. Without audiences, those of the server.
    pub(crate) async fn verify(
        &self,
        token: &str,
        audiences: &[String],
        registry: &Registry,
    ) -> Result<(User, Vec<String>)> {
        let now = registry.config.clock.now().as_second();
        let claims = self.signer.verify(token, now).map_err(|reason| {
            tracing::debug!(%reason, "a bearer token was refused");
            Error::Unauthorized
        })?;
        let wanted = if audiences.is_empty() { &self.audiences } else { audiences };
        let shared: Vec<String> = wanted.iter().filter(|a| claims.aud.0.contains(a)).cloned().collect();
        if shared.is_empty() || !self.is_alive(&claims, registry).await? {
            return Err(Error::Unauthorized);
        }
        Ok((user(&claims), shared))
    }

    async fn is_alive(&self, claims: &Claims, registry: &Registry) -> Result<bool> {
        let bound = &claims.kubernetes;
        let namespace = bound.namespace.as_str();
        let mut objects = vec![("serviceaccounts", namespace, Some(&bound.serviceaccount))];
        objects.push(("pods", namespace, bound.pod.as_ref()));
        objects.push(("secrets", namespace, bound.secret.as_ref()));
        objects.push(("nodes", "", bound.node.as_ref()));
        for (plural, namespace, reference) in objects {
            let Some(Bound { name, uid }) = reference else { continue };
            let object = registry.lookup("", plural, namespace, name).await?;
            if object.is_none_or(|o| meta(&o, "uid") != uid) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn user(claims: &Claims) -> User {
    let bound = &claims.kubernetes;
    let mut extra = BTreeMap::new();
    let mut note = |key: &str, value: &str| {
        extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
    };
    for (kind, reference) in [("pod", &bound.pod), ("node", &bound.node)] {
        if let Some(reference) = reference {
            note(&format!("{kind}-name"), &reference.name);
            note(&format!("{kind}-uid"), &reference.uid);
        }
    }
    if !claims.jti.is_empty() {
        note("credential-id", &format!("JTI={}", claims.jti));
    }
    let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{}", bound.namespace)];
    let name = format!("system:serviceaccount:{}:{}", bound.namespace, bound.serviceaccount.name);
    User { uid: bound.serviceaccount.uid.clone(), extra, ..User::new(name, groups) }
}
