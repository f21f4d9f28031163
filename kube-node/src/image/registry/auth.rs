//! Credentials, and the tokens they get: Docker's token protocol, which all public registries speak.

use std::{collections::HashMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderValue, StatusCode, Uri};
use parking_lot::Mutex;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{
    Fault, Reference,
    address::may_follow,
    challenge::Challenge,
    transport::{Ask, Transport},
};
use crate::seam::RegistryAuth;

/// The largest answer of a token service, in bytes.
const MAX_TOKEN: u64 = 1 << 20;
/// How long a token is good when the service does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// No token is believed to live longer than this.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How many tokens are kept.
const MAX_GRANTS: usize = 1024;
/// What this client calls itself to token services.
const CLIENT: &str = "kube-node";

/// Who pulls.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// Nobody in particular.
    Anonymous,
    /// The value of a Basic `Authorization` header, without its first word.
    Basic(String),
    /// What a token service takes instead of a password.
    Identity(String),
    /// A token for the registry itself.
    Token(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic(_) => "Basic",
            Self::Identity(_) => "Identity",
            Self::Token(_) => "Token",
        })
    }
}

/// Registry and repository, and a digest of the credentials.
pub(super) type Key = (String, String, [u8; 32]);

/// What opens a repository, for how long.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) header: HeaderValue,
    until: Option<Instant>,
}

/// The grants that were given so far.
#[derive(Debug, Default)]
pub(super) struct Grants {
    known: Mutex<HashMap<Key, Grant>>,
}

impl Grants {
    pub(super) fn get(&self, key: &Key) -> Option<HeaderValue> {
        let known = self.known.lock();
        known.get(key).filter(|grant| grant.is_good(Instant::now())).map(|grant| grant.header.clone())
    }

    pub(super) fn forget(&self, key: &Key) {
        self.known.lock().remove(key);
    }

    pub(super) fn keep(&self, key: Key, grant: Grant) {
        let (mut known, now) = (self.known.lock(), Instant::now());
        if known.len() >= MAX_GRANTS {
            known.retain(|_, grant| grant.is_good(now));
        }
        if known.len() < MAX_GRANTS {
            known.insert(key, grant);
        }
    }
}

impl Grant {
    fn is_good(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    fn new(scheme: &str, secret: &str, life: Option<Duration>) -> Result<Self, Fault> {
        Ok(Self { header: header(scheme, secret)?, until: life.map(|life| Instant::now() + life) })
    }
}

fn header(scheme: &str, secret: &str) -> Result<HeaderValue, Fault> {
    let mut header = HeaderValue::try_from(format!("{scheme} {secret}"))
        .map_err(|_| Fault::Content("credentials with characters that cannot be sent".to_owned()))?;
    header.set_sensitive(true);
    Ok(header)
}

/// A token service's answer.
#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    expires_in: Option<u64>,
}

impl Credentials {
    /// The first of these that is there, as in the seam.
    pub(super) fn new(auth: Option<&RegistryAuth>) -> Self {
        match auth {
            Some(auth) if !auth.registry_token.is_empty() => Self::Token(auth.registry_token.clone()),
            Some(auth) if !auth.identity_token.is_empty() => Self::Identity(auth.identity_token.clone()),
            Some(auth) if !auth.username.is_empty() => {
                Self::Basic(STANDARD.encode(format!("{}:{}", auth.username, auth.password)))
            }
            _ => Self::Anonymous,
        }
    }

    /// Under which the grants of these credentials are kept. It holds no secret.
    pub(super) fn key(&self, reference: &Reference) -> Key {
        let (kind, secret) = match self {
            Self::Anonymous => ("anonymous", ""),
            Self::Basic(secret) => ("basic", secret.as_str()),
            Self::Identity(secret) => ("identity", secret.as_str()),
            Self::Token(secret) => ("token", secret.as_str()),
        };
        let digest = Sha256::digest(format!("{kind} {secret}"));
        (reference.origin(), reference.repository().to_owned(), digest.into())
    }

    /// What is sent without having been asked for.
    pub(super) fn given(&self) -> Option<HeaderValue> {
        match self {
            Self::Token(token) => header("Bearer", token).ok(),
            _ => None,
        }
    }

    /// Answers a challenge of the server that was asked for `asked`; `None` when these credentials are none for it.
    pub(super) async fn answer(
        &self,
        transport: &Transport,
        challenge: &Challenge,
        asked: &Uri,
        reference: &Reference,
    ) -> Result<Option<Grant>, Fault> {
        let Challenge::Bearer { realm, service, scope, .. } = challenge else {
            let Self::Basic(secret) = self else { return Ok(None) };
            return Grant::new("Basic", secret, None).map(Some);
        };
        if matches!(self, Self::Token(_)) {
            return Ok(None);
        }
        let scope = scope.clone().unwrap_or_else(|| format!("repository:{}:pull", reference.repository()));
        let mut query = vec![("scope", scope.as_str())];
        query.extend(service.as_deref().map(|service| ("service", service)));
        let realm: Uri =
            realm.parse().map_err(|_| Fault::Content(format!("no token service at {realm:?}")))?;
        if !may_follow(asked, &realm) {
            return Err(Fault::Content(format!("the token service {realm} is not safe")));
        }
        let token = self.token(transport, &realm, &query).await?;
        let secret = if token.token.is_empty() { &token.access_token } else { &token.token };
        if secret.is_empty() {
            return Err(Fault::Content(format!("the token service {realm} gave no token")));
        }
        let life = token.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs).min(LONGEST_LIFE);
        Grant::new("Bearer", secret, Some(life)).map(Some)
    }

    async fn token(
        &self,
        transport: &Transport,
        realm: &Uri,
        query: &[(&str, &str)],
    ) -> Result<Token, Fault> {
        let answer = if let Self::Identity(secret) = self {
            let (kind, who) = (("grant_type", "refresh_token"), ("client_id", CLIENT));
            let grant = [kind, who, ("refresh_token", secret.as_str())];
            transport.post(realm, form(query.iter().chain(&grant))).await?
        } else {
            let joint = if realm.query().is_some() { '&' } else { '?' };
            let full = format!("{realm}{joint}{}", form(query));
            let uri = full.parse().map_err(|_| Fault::Content(format!("no token service at {realm}")))?;
            let basic = if let Self::Basic(secret) = self { Some(header("Basic", secret)?) } else { None };
            transport.get(&Ask { uri, ..Ask::default() }, basic.as_ref()).await?
        };
        if answer.status() != StatusCode::OK {
            let whose = if *self == Self::Anonymous { "anonymous" } else { "oauth" };
            let failed = format!("failed to fetch {whose} token: unexpected status from {}", answer.asked);
            return Err(match (answer.status(), answer.refusal().await) {
                (_, busy @ Fault::Busy { .. }) => busy,
                (status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), _) => {
                    Fault::Denied(format!("{failed}: {status}"))
                }
                (status, _) => Fault::Content(format!("{failed}: {status}")),
            });
        }
        let body = answer.read(MAX_TOKEN).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Fault::Content(format!("token service {realm}: {error}")))
    }
}

/// `application/x-www-form-urlencoded`.
fn form<'a>(pairs: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> String {
    let pairs = pairs.into_iter().map(|(key, value)| format!("{key}={}", encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}
