//! Creating.

use kube_store::{PutRequest, Revision, StoreExt, Swap};
use serde_json::Value;

use super::{Registry, Subject, Written, keys, stored_bytes};
use crate::admission::{Operation, Review};
use crate::decode::Decoded;
use crate::error::{Error, Result};
use crate::kinds::Kind;
use crate::object::{self, clear_meta, given_version, meta, meta_mut, set_meta};
use crate::request::WriteOptions;

/// How often another name is tried when a generated one is taken.
const NAME_ATTEMPTS: usize = 8;
/// Generated names have at most 63 characters.
const MAX_BASE: usize = 58;

impl Registry {
    /// Creates an object.
    pub(crate) async fn create(
        &self,
        subject: &Subject,
        body: Decoded,
        options: &WriteOptions,
    ) -> Result<Written> {
        let mut object = body.value;
        let warnings = self.shape(&subject.kind, &mut object, &body.duplicates, options)?;
        let mut subject = subject.clone();
        address(&mut subject, &mut object)?;
        let generated = meta(&object, "name").is_empty() && !meta(&object, "generateName").is_empty();
        if !generated {
            return self.create_once(&subject, object, options).await.map(|w| w.warned(warnings));
        }
        for _ in 0..NAME_ATTEMPTS {
            let mut object = object.clone();
            self.generate_name(&mut subject, &mut object);
            match self.create_once(&subject, object, options).await {
                Err(Error::AlreadyExists(_)) => {}
                result => return result.map(|w| w.warned(warnings)),
            }
        }
        Err(Error::AlreadyExists(subject.target()))
    }

    /// Checks a body against its kind's schema and fills in defaults. Returns warnings.
    pub(crate) fn shape(
        &self,
        kind: &Kind,
        object: &mut Value,
        duplicates: &[String],
        options: &WriteOptions,
    ) -> Result<Vec<String>> {
        matches_kind(kind, object)?;
        let checked = kind.schema.check(object, duplicates, options.validation);
        let warnings = checked.map_err(|e| Error::bad_request(e.for_kind(&kind.kind, &kind.version)))?;
        kind.default(object);
        Ok(warnings)
    }

    fn generate_name(&self, subject: &mut Subject, object: &mut Value) {
        let base: String = meta(object, "generateName").chars().take(MAX_BASE).collect();
        subject.name = format!("{base}{}", self.suffix());
        set_meta(object, "name", subject.name.clone());
    }

    async fn create_once(
        &self,
        subject: &Subject,
        mut object: Value,
        options: &WriteOptions,
    ) -> Result<Written> {
        let kind = &subject.kind;
        if given_version(&object).is_some() {
            return Err(Error::bad_request("resourceVersion should not be set on objects to be created"));
        }
        for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            clear_meta(&mut object, key);
        }
        set_meta(&mut object, "uid", self.uid());
        set_meta(&mut object, "creationTimestamp", self.config.clock.rfc3339());
        let review = Review::new(Operation::Create, subject, options.dry_run);
        self.admit(&review, &mut object, None).await?;
        kind.prepare_create(&mut object);
        invalid(subject, kind.validate(&object))?;
        self.check(&review, Some(&object), None).await?;
        let warnings = kind.warnings(&object);
        let claim = self.allocator.allocate(subject, &mut object, None)?;
        let written = self.insert(subject, object, options.dry_run).await?;
        if !options.dry_run {
            claim.keep();
        }
        Ok(written.warned(warnings))
    }

    async fn insert(&self, subject: &Subject, mut object: Value, dry_run: bool) -> Result<Written> {
        let kind = &subject.kind;
        let key = keys::key(kind, &subject.namespace, &subject.name);
        if dry_run {
            if self.find(kind, &subject.namespace, &subject.name).await?.is_some() {
                return Err(Error::AlreadyExists(subject.target()));
            }
            return Ok(Written::new(object, true));
        }
        let lease = if kind.kind == "Event" { self.event_lease().await? } else { 0 };
        let bytes = stored_bytes(kind, &object)?;
        let put = PutRequest::new(key, bytes.clone()).with_lease(lease);
        match self.store.put_if(put, 0).await? {
            Swap::Done(revision) => {
                object::set_version(&mut object, revision);
                Ok(Written::new(object, true).stored_as(kind, &bytes, revision))
            }
            Swap::Conflict(_) => Err(Error::AlreadyExists(subject.target())),
        }
    }
}

/// Refuses a body of another kind or version than the address names.
fn matches_kind(kind: &Kind, object: &mut Value) -> Result<()> {
    let Value::Object(map) = object else {
        return Err(Error::bad_request(
            "couldn't get version/kind; json parse error: the body is not an object",
        ));
    };
    let given = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
    let (version, name) = (given("apiVersion"), given("kind"));
    if name.is_empty() {
        return Err(Error::bad_request("Object 'Kind' is missing in the body"));
    }
    let expected = kind.api_version();
    if !version.is_empty() && version != expected {
        let message = format!(
            "the API version in the data ({version}) does not match the expected API version ({expected})"
        );
        return Err(Error::bad_request(message));
    }
    if name != kind.kind {
        let message = format!("{version}, Kind={name} cannot be handled as a {}", kind.kind);
        return Err(Error::bad_request(message));
    }
    Ok(())
}

/// Brings the names in the address and in the body together.
pub(super) fn address(subject: &mut Subject, object: &mut Value) -> Result<()> {
    let namespace = meta(object, "namespace").to_owned();
    if subject.kind.is_namespaced() {
        if !namespace.is_empty() && namespace != subject.namespace {
            let message =
                "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Error::bad_request(message));
        }
        set_meta(object, "namespace", subject.namespace.clone());
    } else if let Some(metadata) = meta_mut(object) {
        metadata.remove("namespace");
    }
    let name = meta(object, "name").to_owned();
    match (subject.name.is_empty(), name.is_empty()) {
        (true, _) => subject.name = name,
        (false, true) => set_meta(object, "name", subject.name.clone()),
        (false, false) if name != subject.name => {
            let url = &subject.name;
            return Err(Error::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({url})"
            )));
        }
        (false, false) => {}
    }
    Ok(())
}

/// The error for what validation found, if anything.
pub(super) fn invalid(subject: &Subject, errors: Vec<crate::field::FieldError>) -> Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    let (kind, group) = (subject.kind.kind.to_string(), subject.kind.group.to_string());
    Err(Error::Invalid { kind, group, name: subject.name.clone(), errors })
}

impl Written {
    pub(super) fn new(object: Value, created: bool) -> Self {
        Self { object, served: None, created, warnings: Vec::new() }
    }

    /// Keeps the bytes that were stored, if clients of this kind read them.
    pub(super) fn stored_as(mut self, kind: &Kind, bytes: &[u8], revision: Revision) -> Self {
        self.served = (!kind.converts()).then(|| object::with_version(bytes, revision));
        self
    }

    pub(super) fn warned(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }
}
