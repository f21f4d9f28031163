//! Deleting.

use kube_store::{PutRequest, StoreExt, Swap};
use serde_json::Value;

use super::graceful::{Fate, decide};
use super::{Registry, Subject, Written, keys, stored_bytes};
use crate::admission::{Operation, Review};
use crate::error::{Error, Result};
use crate::kinds::Kind;
use crate::object::{self, meta};
use crate::request::{DeleteOptions, ListOptions};
use crate::status;

/// How often a deletion is tried again when somebody changed the object meanwhile.
const ATTEMPTS: usize = 10;

impl Registry {
    /// Deletes an object or marks it as to be deleted. What was written is the object, or a `Status` where upstream answers one.
    pub(crate) async fn delete(&self, subject: &Subject, options: &DeleteOptions) -> Result<Written> {
        for _ in 0..ATTEMPTS {
            let stored = self.get(subject).await?;
            let current = stored.value(&subject.kind)?;
            preconditions(subject, &current, options)?;
            let review = Review::new(Operation::Delete, subject, options.dry_run);
            self.check(&review, None, Some(&current)).await?;
            let fate = decide(&subject.kind, &current, options, &self.config.clock);
            if options.dry_run || fate == Fate::Unchanged {
                return Ok(Written::new(answer(subject, current, fate), false));
            }
            let key = keys::key(&subject.kind, &subject.namespace, &subject.name);
            let (swap, bytes) = match &fate {
                Fate::Marked(object) => {
                    let bytes = stored_bytes(&subject.kind, object)?;
                    let put = PutRequest::new(key, bytes.clone()).with_lease(stored.lease);
                    (self.store.put_if(put, stored.revision).await?, bytes)
                }
                _ => (self.store.delete_if(key, stored.revision).await?, stored.bytes),
            };
            if let Swap::Done(revision) = swap {
                if fate == Fate::Gone {
                    self.allocator.release(subject, &current);
                }
                let mut object = answer(subject, current, fate);
                if object["kind"] == "Status" {
                    return Ok(Written::new(object, false));
                }
                object::set_version(&mut object, revision);
                return Ok(Written::new(object, false).stored_as(&subject.kind, &bytes, revision));
            }
            if options.version.is_some() {
                return Err(Error::modified(subject.target()));
            }
        }
        Err(Error::modified(subject.target()))
    }

    /// Deletes everything that the options select, and returns it as a list.
    pub(crate) async fn delete_collection(
        &self,
        subject: &Subject,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<super::Page> {
        let page = self.list(subject, list).await?;
        for entry in &page.entries {
            let object: Value = serde_json::from_slice(&entry.bytes()).map_err(Error::internal)?;
            let one = Subject {
                namespace: meta(&object, "namespace").to_owned(),
                name: meta(&object, "name").to_owned(),
                ..subject.clone()
            };
            match self.delete(&one, options).await {
                Ok(_) | Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }
}

fn preconditions(subject: &Subject, current: &Value, options: &DeleteOptions) -> Result<()> {
    let checks = [("UID", "uid", &options.uid), ("ResourceVersion", "resourceVersion", &options.version)];
    for (word, key, wanted) in checks {
        let (Some(wanted), actual) = (wanted, meta(current, key)) else { continue };
        if wanted != actual {
            let detail = format!(
                "Precondition failed: {word} in precondition: {wanted}, {word} in object meta: {actual}"
            );
            return Err(Error::Conflict { target: subject.target(), detail });
        }
    }
    Ok(())
}

fn answer(subject: &Subject, current: Value, fate: Fate) -> Value {
    match fate {
        Fate::Marked(object) => object,
        Fate::Unchanged => current,
        Fate::Gone if returns_object(&subject.kind) => current,
        Fate::Gone => status::success(&subject.target(), meta(&current, "uid")),
    }
}

/// Kinds of which upstream answers the deleted object instead of a `Status`.
fn returns_object(kind: &Kind) -> bool {
    const KINDS: [&str; 6] =
        ["Pod", "PodTemplate", "ResourceQuota", "ServiceAccount", "Service", "PersistentVolumeClaim"];
    KINDS.contains(&kind.kind.as_ref())
}
