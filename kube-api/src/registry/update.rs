//! Changing an object: one loop of read, change, check, compare and swap for updates, patches and every subresource.

use kube_store::{PutRequest, StoreExt, Swap};
use serde_json::Value;

use super::create::{address, invalid};
use super::{Registry, Stored, Subject, Written, keys, stored_bytes};
use crate::admission::{Operation, Review};
use crate::decode::Decoded;
use crate::error::{Error, Result};
use crate::kinds::Kind;
use crate::object::{self, clear_meta, given_version, is_deleting, meta, meta_list, set_meta};
use crate::request::WriteOptions;

/// How often a change is tried again when somebody else was faster.
const ATTEMPTS: usize = 5;

/// Which part of an object a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All but the status.
    Whole,
    /// The status.
    Status,
}

/// What an object is to become.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) object: Value,
    pub(crate) duplicates: Vec<String>,
}

impl From<Value> for Proposal {
    fn from(object: Value) -> Self {
        Self { object, duplicates: Vec::new() }
    }
}

impl From<Decoded> for Proposal {
    fn from(body: Decoded) -> Self {
        Self { object: body.value, duplicates: body.duplicates }
    }
}

impl Registry {
    /// Replaces an object, or creates it where that is allowed.
    pub(crate) async fn update(
        &self,
        subject: &Subject,
        part: Part,
        body: Decoded,
        options: &WriteOptions,
    ) -> Result<Written> {
        let missing = self.find(&subject.kind, &subject.namespace, &subject.name).await?.is_none();
        let unversioned = given_version(&body.value).is_none();
        if missing && unversioned && part == Part::Whole && creates_on_update(&subject.kind) {
            return self.create(subject, body, options).await;
        }
        self.change(subject, part, options, |_| Ok(body.clone().into())).await
    }

    /// Changes an object to what `make` makes of it, which may be called again when somebody else was faster and the
    /// proposal does not insist on a version.
    pub(crate) async fn change(
        &self,
        subject: &Subject,
        part: Part,
        options: &WriteOptions,
        make: impl Fn(&Value) -> Result<Proposal> + Send + Sync,
    ) -> Result<Written> {
        for attempt in 1.. {
            let stored = self.get(subject).await?;
            let current = stored.value(&subject.kind)?;
            let proposal = make(&current)?;
            let version = given_version(&proposal.object);
            if version.is_some_and(|version| version != meta(&current, "resourceVersion")) {
                return Err(Error::modified(subject.target()));
            }
            match self.change_once(subject, part, options, &stored, current, proposal).await? {
                Some(written) => return Ok(written),
                None if attempt >= ATTEMPTS => break,
                None => {}
            }
        }
        Err(Error::modified(subject.target()))
    }

    /// Changes an object to exactly what `make` makes of it: nothing is restored or checked. It may be called again when
    /// somebody else was faster.
    pub(crate) async fn rewrite(
        &self,
        subject: &Subject,
        options: &WriteOptions,
        make: impl Fn(Value) -> Result<Value> + Send + Sync,
    ) -> Result<Written> {
        for _ in 0..ATTEMPTS {
            let stored = self.get(subject).await?;
            let object = make(stored.value(&subject.kind)?)?;
            if let Some(written) = self.replace(subject, options, &stored, object).await? {
                return Ok(written);
            }
        }
        Err(Error::modified(subject.target()))
    }

    async fn change_once(
        &self,
        subject: &Subject,
        part: Part,
        options: &WriteOptions,
        stored: &Stored,
        current: Value,
        proposal: Proposal,
    ) -> Result<Option<Written>> {
        let kind = &subject.kind;
        let mut object = proposal.object;
        let mut warnings = self.shape(kind, &mut object, &proposal.duplicates, options)?;
        address(&mut subject.clone(), &mut object)?;
        inherit(subject, &mut object, &current)?;
        let review = Review::new(Operation::Update, subject, options.dry_run);
        self.admit(&review, &mut object, Some(&current)).await?;
        self.prepare(subject, part, &mut object, &current)?;
        self.check(&review, Some(&object), Some(&current)).await?;
        warnings.extend(kind.warnings(&object));
        let claim = match part {
            Part::Whole => Some(self.allocator.allocate(subject, &mut object, Some(&current))?),
            Part::Status => None,
        };
        let written = self.replace(subject, options, stored, object).await?;
        if let (Some(claim), Some(_), false) = (claim, &written, options.dry_run) {
            claim.keep();
            self.allocator.release_changed(subject, &current, written.as_ref().map(|w| &w.object));
        }
        Ok(written.map(|w| w.warned(warnings)))
    }

    fn prepare(&self, subject: &Subject, part: Part, object: &mut Value, current: &Value) -> Result<()> {
        let kind = &subject.kind;
        let errors = if part == Part::Status {
            kind.prepare_status_update(object, current);
            kind.validate_status_update(object, current)
        } else {
            kind.prepare_update(object, current);
            kind.validate_update(object, current)
        };
        invalid(subject, errors)
    }

    /// Writes what changed, if anything. An object whose last finalizer went is deleted instead. `None`: somebody else
    /// was faster.
    async fn replace(
        &self,
        subject: &Subject,
        options: &WriteOptions,
        stored: &Stored,
        mut object: Value,
    ) -> Result<Option<Written>> {
        let kind = &subject.kind;
        object::set_version(&mut object, stored.revision);
        let bytes = stored_bytes(kind, &object)?;
        let done = |object| Ok(Some(Written::new(object, false)));
        if bytes == stored.bytes || options.dry_run {
            return done(object);
        }
        let key = keys::key(kind, &subject.namespace, &subject.name);
        if is_finished(&object) {
            return Ok(match self.store.delete_if(key, stored.revision).await? {
                Swap::Done(revision) => {
                    object::set_version(&mut object, revision);
                    self.allocator.release(subject, &object);
                    return done(object);
                }
                Swap::Conflict(_) => None,
            });
        }
        let put = PutRequest::new(key, bytes.clone()).with_lease(stored.lease);
        match self.store.put_if(put, stored.revision).await? {
            Swap::Done(revision) => {
                object::set_version(&mut object, revision);
                Ok(Some(Written::new(object, false).stored_as(kind, &bytes, revision)))
            }
            Swap::Conflict(_) => Ok(None),
        }
    }
}

/// Whether nothing keeps a deleted object any more.
pub(super) fn is_finished(object: &Value) -> bool {
    let grace = object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64);
    is_deleting(object)
        && grace.unwrap_or(0) == 0
        && meta_list(object, "finalizers").is_empty()
        && (object["kind"] != "Namespace" || spec_finalizers_empty(object))
}

pub(super) fn spec_finalizers_empty(object: &Value) -> bool {
    object.pointer("/spec/finalizers").and_then(Value::as_array).is_none_or(Vec::is_empty)
}

/// What the client need not repeat in an update.
fn inherit(subject: &Subject, object: &mut Value, current: &Value) -> Result<()> {
    let (given, actual) = (meta(object, "uid").to_owned(), meta(current, "uid"));
    if !given.is_empty() && given != actual {
        let detail =
            format!("Precondition failed: UID in precondition: {given}, UID in object meta: {actual}");
        return Err(Error::Conflict { target: subject.target(), detail });
    }
    if given_version(object).is_none() {
        let any = allows_unconditional(&subject.kind);
        set_meta(object, "resourceVersion", if any { meta(current, "resourceVersion") } else { "" });
    }
    let before = current.get("metadata");
    for key in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName"]
    {
        let absent = object.get("metadata").and_then(|m| m.get(key)).is_none_or(Value::is_null);
        if let (true, Some(value)) = (absent, before.and_then(|m| m.get(key))) {
            set_meta(object, key, value.clone());
        }
    }
    if !is_deleting(current) {
        clear_meta(object, "deletionGracePeriodSeconds");
        clear_meta(object, "deletionTimestamp");
    }
    Ok(())
}

/// Kinds whose objects an update creates when they are missing.
fn creates_on_update(kind: &Kind) -> bool {
    matches!(
        kind.kind.as_ref(),
        "Lease" | "Event" | "Endpoints" | "LimitRange" | "PriorityLevelConfiguration"
    )
}

/// Kinds that must not be updated without saying which version is replaced.
fn allows_unconditional(kind: &Kind) -> bool {
    !matches!(
        kind.kind.as_ref(),
        "Lease" | "CSINode" | "CSIDriver" | "VolumeAttachment" | "CustomResourceDefinition" | "APIService"
    )
}
