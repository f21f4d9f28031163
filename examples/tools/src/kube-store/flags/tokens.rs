//! What kind of tokens users get.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::value::duration;

/// How JSON Web Tokens are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenFlags {
    pub(crate) method: String,
    pub(crate) public_key: Option<PathBuf>,
    pub(crate) private_key: Option<PathBuf>,
    pub(crate) ttl: Duration,
    /// Options that have no effect, as in etcd, which warns of them.
    pub(crate) unknown: Vec<String>,
}

const DEFAULT_TTL: Duration = Duration::from_secs(300);

/// Reads `simple`, which is nothing, or `jwt,sign-method=RS256,priv-key=FILE` and so on.
pub(super) fn tokens(text: &str) -> Result<Option<TokenFlags>, String> {
    let invalid = || "auth: invalid auth options".to_owned();
    let mut parts = text.split(',');
    let kind = parts.next();
    let mut options = BTreeMap::new();
    for part in parts {
        let (name, value) = part.split_once('=').ok_or_else(invalid)?;
        if value.contains('=') || options.insert(name, value).is_some() {
            return Err(invalid());
        }
    }
    if kind == Some("simple") {
        return Ok(None);
    }
    // One that is empty is as none.
    let mut option = |name| options.remove(name).filter(|value| !value.is_empty());
    let method = option("sign-method").filter(|_| kind == Some("jwt")).ok_or_else(invalid)?;
    Ok(Some(TokenFlags {
        method: method.to_owned(),
        public_key: option("pub-key").map(PathBuf::from),
        private_key: option("priv-key").map(PathBuf::from),
        ttl: option("ttl").map_or(Some(DEFAULT_TTL), duration).ok_or_else(invalid)?,
        unknown: options.into_keys().map(str::to_owned).collect(),
    }))
}
