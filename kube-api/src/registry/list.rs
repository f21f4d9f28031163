//! Collections.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kube_store::{Revision, StoreExt};
use serde_json::json;

use super::token::Continue;
use super::{Registry, Subject, keys};
use crate::cache::{ChangeKind, Entry, Filter};
use crate::error::{Error, Result};
use crate::kinds::Kind;
use crate::request::{ListOptions, VersionMatch};

/// How many keys are read from the store at a time when a page is filled through selectors.
const SCAN: usize = 500;

/// A page of a collection.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) revision: Revision,
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) continue_token: String,
    pub(crate) remaining: Option<usize>,
}

impl Registry {
    pub(crate) fn filter(&self, subject: &Subject, options: &ListOptions) -> Result<Filter> {
        let kind = &subject.kind;
        for requirement in &options.fields.requirements {
            if kind.field_pointer(&requirement.field).is_none() {
                return Err(Error::bad_request(format!("field label not supported: {}", requirement.field)));
            }
        }
        let mut fields = options.fields.clone();
        if !subject.name.is_empty() {
            let name = crate::selector::FieldRequirement {
                field: "metadata.name".to_owned(),
                equal: true,
                value: subject.name.clone(),
            };
            fields.requirements.push(name);
        }
        let prefix = keys::prefix(kind, &subject.namespace);
        Ok(Filter { kind: Arc::clone(kind), prefix, labels: options.labels.clone(), fields })
    }

    /// One page. The newest state and whatever the cache has come from the cache, a given revision and further pages from
    /// the store's history.
    pub(crate) async fn list(&self, subject: &Subject, options: &ListOptions) -> Result<Page> {
        let filter = self.filter(subject, options)?;
        let cache = self.cache(&subject.kind)?;
        if !options.continue_token.is_empty() {
            let token = Continue::decode(&options.continue_token, &filter.prefix)?;
            return self.list_at(&filter, token.revision, Some(token.after), options.limit).await;
        }
        cache.wait_ready().await?;
        match options.version {
            VersionMatch::Latest => cache.wait_fresh().await?,
            VersionMatch::Any => {}
            VersionMatch::NotOlderThan(revision) => cache.wait_for(revision).await?,
            VersionMatch::Exact(revision) => {
                return self.list_at(&filter, revision, None, options.limit).await;
            }
        }
        let (revision, entries, rest) = cache.list(&filter, options.limit);
        Ok(page(&filter, revision, entries, rest))
    }

    async fn list_at(
        &self,
        filter: &Filter,
        revision: Revision,
        after: Option<Bytes>,
        limit: usize,
    ) -> Result<Page> {
        let (mut after, mut entries) = (after, Vec::new());
        let wanted = if limit == 0 { usize::MAX } else { limit };
        loop {
            let range =
                self.store.list_page(filter.prefix.clone(), after.clone(), SCAN, Some(revision)).await;
            let range = range.map_err(expired)?;
            let total = usize::try_from(range.count).unwrap_or(usize::MAX);
            for (at, kv) in range.kvs.into_iter().enumerate() {
                after = Some(kv.key.clone());
                let entry = Entry::new(&filter.kind, kv.key, &kv.value, kv.mod_revision, ChangeKind::Added)?;
                if filter.matches(&entry) {
                    entries.push(Arc::new(entry));
                }
                let rest = total.saturating_sub(at + 1);
                if entries.len() == wanted && rest > 0 {
                    return Ok(page(filter, revision, entries, rest));
                }
            }
            if !range.more {
                return Ok(page(filter, revision, entries, 0));
            }
        }
    }
}

fn expired(error: kube_store::Error) -> Error {
    match error {
        kube_store::Error::Compacted { .. } => Error::Expired(
            "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.".to_owned(),
        ),
        other => other.into(),
    }
}

fn page(filter: &Filter, revision: Revision, entries: Vec<Arc<Entry>>, rest: usize) -> Page {
    let last = entries.last().filter(|_| rest > 0);
    let token = last.map(|e| Continue { revision, after: e.key.clone() }.encode(&filter.prefix));
    let exact = filter.labels.is_empty() && filter.fields.is_empty();
    let remaining = (rest > 0 && exact).then_some(rest);
    Page { revision, entries, continue_token: token.unwrap_or_default(), remaining }
}

impl Page {
    /// The objects.
    pub(crate) fn values(&self) -> Result<Vec<serde_json::Value>> {
        let parse = |entry: &Arc<Entry>| serde_json::from_slice(&entry.bytes()).map_err(Error::internal);
        self.entries.iter().map(parse).collect()
    }

    /// The list's metadata.
    pub(crate) fn metadata(&self) -> serde_json::Value {
        let mut metadata = json!({"resourceVersion": self.revision.to_string()});
        if !self.continue_token.is_empty() {
            metadata["continue"] = self.continue_token.as_str().into();
        }
        if let Some(remaining) = self.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        metadata
    }

    /// The list as clients read it: the objects' bytes one after another.
    pub(crate) fn bytes(&self, kind: &Kind) -> Bytes {
        let size: usize = self.entries.iter().map(|e| e.size()).sum();
        let mut out = BytesMut::with_capacity(size + 256);
        let (list, version) = (format!("{}List", kind.kind), kind.api_version());
        let head = format!(
            "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":[",
            json!(list),
            json!(version),
            self.metadata()
        );
        out.put_slice(head.as_bytes());
        for (at, entry) in self.entries.iter().enumerate() {
            if at > 0 {
                out.put_u8(b',');
            }
            out.put_slice(&entry.bytes());
        }
        out.put_slice(b"]}");
        out.freeze()
    }
}
