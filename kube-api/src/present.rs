//! Answers in the shape that the client asked for.

use bytes::Bytes;
use kube_store::Revision;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::error::Result;
use crate::kinds::Kind;
use crate::registry::Page;
use crate::request::Form;
use crate::table::{IncludeObject, partial_list, partial_object, table};

/// Turns objects into what a client wants to see.
#[derive(Debug)]
pub(crate) struct Presenter {
    form: Form,
    clock: Clock,
    include: IncludeObject,
    /// Whether a table with columns was already sent on this watch.
    described: bool,
}

impl Presenter {
    pub(crate) fn new(form: Form, include: IncludeObject, clock: Clock) -> Self {
        Self { form, clock, include, described: false }
    }

    /// Whether stored bytes are the answer.
    pub(crate) fn is_plain(&self) -> bool {
        self.form == Form::Object
    }

    /// One object.
    pub(crate) fn single(&mut self, kind: &Kind, object: Value) -> Value {
        match self.form {
            Form::Object => object,
            Form::Metadata => partial_object(&object),
            Form::Table => {
                let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                self.table(kind, &[object], metadata)
            }
        }
    }

    /// A page.
    pub(crate) fn page(&mut self, kind: &Kind, page: &Page) -> Result<Bytes> {
        if self.is_plain() {
            return Ok(page.bytes(kind));
        }
        let objects = page.values()?;
        let list = match self.form {
            Form::Table => self.table(kind, &objects, page.metadata()),
            _ => partial_list(&objects, page.metadata()),
        };
        Ok(list.to_string().into())
    }

    /// An empty object with only a version.
    pub(crate) fn bookmark(&self, kind: &Kind, revision: Revision, initial_end: bool) -> Value {
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let (name, version) = match self.form {
            Form::Object => (kind.kind.to_string(), kind.api_version()),
            Form::Metadata => ("PartialObjectMetadata".to_owned(), "meta.k8s.io/v1".to_owned()),
            Form::Table => {
                return json!({
                    "kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": null, "rows": [{
                        "cells": [],
                        "object": {"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata},
                    }], "metadata": {"resourceVersion": revision.to_string()},
                });
            }
        };
        json!({"kind": name, "apiVersion": version, "metadata": metadata})
    }

    fn table(&mut self, kind: &Kind, objects: &[Value], metadata: Value) -> Value {
        let headings = !std::mem::replace(&mut self.described, true);
        table(kind, objects, metadata, self.include, self.clock.now(), headings)
    }
}
