//! Objects and changes in the cache.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use kube_store::Revision;
use serde_json::Value;

use super::pick::pick;
use crate::error::{Error, Result};
use crate::kinds::Kind;
use crate::object;
use crate::selector::{FieldSelector, LabelSelector};

/// What happened to an object, as a watcher sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

impl ChangeKind {
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Added => b"{\"type\":\"ADDED\",\"object\":",
            Self::Modified => b"{\"type\":\"MODIFIED\",\"object\":",
            Self::Deleted => b"{\"type\":\"DELETED\",\"object\":",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

const SUFFIX: &[u8] = b"}\n";

/// What every kind is indexed by.
const META: [&str; 3] = ["/metadata/labels", "/metadata/namespace", "/metadata/name"];

/// A value as selectors compare it.
fn text(value: Value, absent: &str) -> Box<str> {
    match value {
        Value::String(text) => text.into(),
        Value::Null => absent.into(),
        other => other.to_string().into(),
    }
}

/// One version of one object.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Bytes,
    /// The watch event that this version came with; the object's bytes are a part of it.
    frame: Bytes,
    object: Range<usize>,
    kind: ChangeKind,
    labels: Vec<(Box<str>, Box<str>)>,
    /// Values of the selectable fields, in the order of the kind's row.
    fields: Vec<Box<str>>,
    namespace: Box<str>,
    name: Box<str>,
}

impl Entry {
    pub(crate) fn new(
        kind: &Kind,
        key: Bytes,
        stored: &[u8],
        revision: Revision,
        change: ChangeKind,
    ) -> Result<Self> {
        let converted = if kind.converts() {
            let mut value = object::decode(stored, revision)?;
            kind.from_storage(&mut value);
            Some(object::encode(&value)?)
        } else {
            None
        };
        let stored = converted.as_deref().unwrap_or(stored);
        let frame = object::splice(stored, revision, change.prefix(), SUFFIX);
        let object = change.prefix().len()..frame.len().saturating_sub(SUFFIX.len());
        let fields = kind.fields.iter().map(|field| field.pointer.as_ref());
        let pointers: Vec<_> = META.into_iter().chain(fields).collect();
        let mut picked = pick(stored, &pointers)
            .map_err(|error| Error::internal(format!("stored object: {error}")))?
            .into_iter();
        let labels = picked.next().unwrap_or_default();
        let labels = labels.as_object().into_iter().flatten();
        let mut next = |absent| text(picked.next().unwrap_or_default(), absent);
        Ok(Self {
            labels: labels.filter_map(|(k, v)| Some((k.as_str().into(), v.as_str()?.into()))).collect(),
            namespace: next(""),
            name: next(""),
            fields: kind.fields.iter().map(|field| next(&field.absent)).collect(),
            key,
            frame,
            object,
            kind: change,
        })
    }

    /// The same object as it is deleted at a later revision.
    pub(super) fn redated(&self, revision: Revision) -> Self {
        let change = ChangeKind::Deleted;
        let frame = object::with_other_version(&self.bytes(), revision, change.prefix(), SUFFIX);
        Self {
            key: self.key.clone(),
            object: change.prefix().len()..frame.len().saturating_sub(SUFFIX.len()),
            frame,
            kind: change,
            labels: self.labels.clone(),
            fields: self.fields.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// The bytes that a client reads.
    pub(crate) fn bytes(&self) -> Bytes {
        self.frame.slice(self.object.clone())
    }

    pub(crate) fn size(&self) -> usize {
        self.frame.len() + 256
    }

    /// The line of a watch that reports this version; one piece and shared whenever it is reported as what it was.
    pub(crate) fn frame(&self, change: ChangeKind) -> Bytes {
        if change == self.kind {
            return self.frame.clone();
        }
        Bytes::from([change.prefix(), &self.bytes(), SUFFIX].concat())
    }

    fn field(&self, kind: &Kind, name: &str) -> Cow<'_, str> {
        match name {
            "metadata.name" => Cow::Borrowed(&self.name),
            "metadata.namespace" => Cow::Borrowed(&self.namespace),
            _ => {
                let at = kind.fields.iter().position(|f| f.name == name);
                at.and_then(|at| self.fields.get(at)).map_or(Cow::Borrowed(""), |v| Cow::Borrowed(v))
            }
        }
    }
}

/// A change of one object.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) revision: Revision,
    pub(crate) kind: ChangeKind,
    /// The object after it; for a deletion its last state with the revision of the deletion.
    pub(crate) entry: Arc<Entry>,
    pub(crate) previous: Option<Arc<Entry>>,
}

/// Which objects somebody wants.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) kind: Arc<Kind>,
    /// Key prefix: the kind's, or that of one namespace.
    pub(crate) prefix: Bytes,
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
}

impl Filter {
    pub(crate) fn matches(&self, entry: &Entry) -> bool {
        let label = |key: &str| entry.labels.iter().find(|(k, _)| **k == *key).map(|(_, v)| &**v);
        entry.key.starts_with(&self.prefix)
            && (self.labels.is_empty() || self.labels.matches(label))
            && (self.fields.is_empty() || self.fields.matches(|name| entry.field(&self.kind, name)))
    }

    /// What a change means to somebody who only knows the objects of this filter.
    pub(crate) fn view(&self, change: &Change) -> Option<ChangeKind> {
        let before = change.previous.as_ref().is_some_and(|p| self.matches(p));
        let after = change.kind != ChangeKind::Deleted && self.matches(&change.entry);
        match (before, after) {
            (false, false) => None,
            (false, true) => Some(ChangeKind::Added),
            (true, true) => Some(ChangeKind::Modified),
            (true, false) => Some(ChangeKind::Deleted),
        }
    }

    /// What the client gets for a change: the name of the event and the version of the object in it. An object that leaves
    /// the filter is reported as it was when it was last inside, with the revision of the change.
    pub(crate) fn deliver(&self, change: &Change) -> Option<(ChangeKind, Arc<Entry>)> {
        let view = self.view(change)?;
        let left = view == ChangeKind::Deleted && change.kind != ChangeKind::Deleted;
        let last = change.previous.as_ref().filter(|_| left);
        let entry = last.map(|last| Arc::new(last.redated(change.revision)));
        Some((view, entry.unwrap_or_else(|| Arc::clone(&change.entry))))
    }
}
