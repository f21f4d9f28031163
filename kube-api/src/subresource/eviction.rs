//! `pods/eviction`: a polite delete.

use serde_json::Value;

use super::{Output, done};
use crate::error::{Error, Result};
use crate::object::meta;
use crate::registry::{Registry, Subject};
use crate::request::{DeleteOptions, Query};

pub(super) async fn evict(registry: &Registry, subject: &Subject, eviction: Value) -> Result<Output> {
    let named = meta(&eviction, "name");
    if !named.is_empty() && named != subject.name {
        return Err(Error::bad_request("name in URL does not match name in Eviction object"));
    }
    let options =
        DeleteOptions::parse(&Query::default(), eviction.get("deleteOptions").filter(|o| !o.is_null()))?;
    registry.delete(subject, &options).await?;
    Ok(done())
}
