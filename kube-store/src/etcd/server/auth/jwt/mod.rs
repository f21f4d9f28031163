//! JSON Web Tokens (RFC 7519), which other programs can read and give out too.
//!
//! Such a token says whose it is, as of which revision of users and roles, and until when. Nothing makes it live longer, and with
//! the next change of users or roles it is too old for keys, as in etcd: clients log in again then.

mod keys;
#[cfg(test)]
mod tests;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value, json};

use self::keys::Keys;

/// How tokens are signed that are JSON Web Tokens, and how long they live.
pub struct JsonWebTokens {
    /// The name of the way of signing.
    method: String,
    keys: Keys,
    ttl: Duration,
}

/// Why keys cannot be used for tokens, in etcd's words where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenKeyError {
    /// A way of signing that is not known.
    #[error("unsupported signing method: {0:?}")]
    Method(String),
    /// No key was given.
    #[error("auth: missing key data")]
    Missing,
    /// The private key is not what the way of signing needs, or of a form that is not read.
    #[error("key is not a valid private key for {0}")]
    Private(String),
    /// The public key is not what the way of signing needs, or of a form that is not read.
    #[error("key is not a valid public key for {0}")]
    Public(String),
    /// The two keys do not belong together.
    #[error("auth: public and private keys don't match")]
    Mismatch,
}

/// Whose a token is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) user: String,
    /// Of users and roles, when it was given out.
    pub(super) revision: u64,
}

impl JsonWebTokens {
    /// Tokens that are signed by `method`, as `RS256`: a name of RFC 7518 but `none` and `ES512`, or `EdDSA`. Keys are PEM, but for
    /// the methods that begin with `HS`, whose one secret is the private key as it is. A private key is PKCS#8, or PKCS#1 for RSA
    /// (2048 bits at least), or SEC 1 for elliptic curves; a public one may be in a certificate. Without a private key tokens are
    /// only looked at, and who logs in is refused.
    ///
    /// # Errors
    /// The keys cannot be used so.
    pub fn new(
        method: &str,
        private: Option<&[u8]>,
        public: Option<&[u8]>,
        ttl: Duration,
    ) -> Result<Self, TokenKeyError> {
        Ok(Self { method: method.to_owned(), keys: Keys::new(method, private, public)?, ttl })
    }

    /// A new token of a user; `None` where none are given out.
    pub(super) fn sign(&self, user: &str, revision: u64, now: u64) -> Option<String> {
        let head = json!({ "alg": self.method, "typ": "JWT" });
        let ends = now.saturating_add(self.ttl.as_secs());
        let claims = json!({ "username": user, "revision": revision, "exp": ends });
        let text = format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(claims.to_string()));
        let signed = self.keys.sign(text.as_bytes())?;
        Some(format!("{text}.{}", BASE64.encode(signed)))
    }

    /// Whose token it is; `None` when it does not hold now, or when nobody gave it out. What its head says of how it is signed has
    /// to be what is expected, and decides nothing.
    pub(super) fn named(&self, text: &str, now: u64) -> Option<Named> {
        let (signed, tag) = text.rsplit_once('.')?;
        let (head, claims) = signed.split_once('.')?;
        if !self.keys.verify(signed.as_bytes(), &BASE64.decode(tag).ok()?) {
            return None;
        }
        let (head, claims) = (object(head)?, object(claims)?);
        if head.get("alg")?.as_str()? != self.method || !holds(&claims, now) {
            return None;
        }
        // A number that is none in Rust becomes the nearest that is.
        let revision = claims.get("revision")?.as_f64()? as u64;
        Some(Named { user: claims.get("username")?.as_str()?.to_owned(), revision })
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64.decode(part).ok()?).ok()
}

/// Whether claims hold now: those about time need not be there, and 0 is as none, but one that is no number is not ignored.
fn holds(claims: &Map<String, Value>, now: u64) -> bool {
    let is = |name: &str, ok: fn(f64, f64) -> bool| match claims.get(name).map(Value::as_f64) {
        None | Some(Some(0.0)) => true,
        Some(time) => time.is_some_and(|time| ok(now as f64, time.trunc())),
    };
    let since = |now, time| now >= time;
    is("exp", |now, time| now < time) && is("nbf", since) && is("iat", since)
}

impl std::fmt::Debug for JsonWebTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonWebTokens")
            .field("method", &self.method)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}
