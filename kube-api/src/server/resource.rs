//! Requests for resources: from address and verb to the registry.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;

use super::call::Call;
use super::{Inner, answer};
use crate::body::Body;
use crate::decode::{self, Decoded, MediaType};
use crate::error::{Error, Result};
use crate::present::Presenter;
use crate::registry::{Part, PatchType, Subject, Written};
use crate::request::{DeleteOptions, Form, ListOptions, RequestInfo, Verb, WriteOptions};
use crate::subresource::{self, Input};
use crate::table::IncludeObject;

/// Creating is asked of a collection, changing of an object. Subresources belong to an object whatever is done to them.
fn misplaced(info: &RequestInfo) -> bool {
    let wants_name = match info.verb {
        Verb::Create => false,
        Verb::Update | Verb::Patch => true,
        _ => return false,
    };
    info.subresource.is_empty() && wants_name == info.name.is_empty()
}

impl Inner {
    pub(super) async fn resource(&self, call: &Call, body: Bytes) -> Result<Response<Body>> {
        let info = &call.info;
        let kind = self.registry.kind(&info.group, &info.version, &info.resource)?;
        let namespace = info.object_namespace();
        if !kind.is_namespaced() && !namespace.is_empty() {
            return Err(Error::UnknownResource);
        }
        let needs_namespace = matches!(info.verb, Verb::List | Verb::Watch | Verb::DeleteCollection);
        if kind.is_namespaced() && namespace.is_empty() && !needs_namespace && !kind.is_virtual {
            return Err(if info.verb == Verb::Create {
                Error::MethodNotAllowed
            } else {
                Error::UnknownResource
            });
        }
        let mut subject = Subject::new(kind, namespace, &info.name, call.user.clone());
        subject.subresource.clone_from(&info.subresource);
        if kind.is_virtual {
            return self.review(call, kind, body).await;
        }
        if !info.subresource.is_empty() && info.subresource != "status" {
            return self.subresource(call, &subject, body).await;
        }
        let verbs = if info.subresource.is_empty() {
            &kind.verbs
        } else {
            &kind.subresource(&info.subresource).ok_or(Error::UnknownResource)?.verbs
        };
        if misplaced(info) || !verbs.iter().any(|v| v == info.verb.as_str()) {
            return Err(Error::MethodNotAllowed);
        }
        self.verb(call, &subject, body).await
    }

    async fn subresource(&self, call: &Call, subject: &Subject, body: Bytes) -> Result<Response<Body>> {
        let options = WriteOptions::parse(&call.query())?;
        let input = match call.info.verb {
            Verb::Patch => Input::Patch(PatchType::from_content_type(call.content_type())?, body),
            Verb::Create | Verb::Update => Input::Object(parse(call, &body)?),
            _ => Input::Nothing,
        };
        let verb = &call.info.verb;
        let output =
            subresource::handle(&self.registry, &self.authenticator, subject, verb, input, &options).await?;
        let code = if output.created { StatusCode::CREATED } else { StatusCode::OK };
        Ok(answer::value(code, &output.value))
    }

    async fn verb(&self, call: &Call, subject: &Subject, body: Bytes) -> Result<Response<Body>> {
        let query = call.query();
        let part = if subject.subresource == "status" { Part::Status } else { Part::Whole };
        match &call.info.verb {
            Verb::Get => self.get(call, subject).await,
            Verb::List => {
                let page = self.registry.list(subject, &ListOptions::parse(&query, false)?).await?;
                let bytes = self.presenter(call)?.page(&subject.kind, &page)?;
                Ok(self.packed(call, answer::json(StatusCode::OK, bytes)))
            }
            Verb::Watch => self.watch(call, subject).await,
            Verb::Create => {
                let options = WriteOptions::parse(&query)?;
                let written = self.registry.create(subject, parse(call, &body)?, &options).await?;
                self.written(call, subject, written)
            }
            Verb::Update => {
                let options = WriteOptions::parse(&query)?;
                let written = self.registry.update(subject, part, parse(call, &body)?, &options).await?;
                self.written(call, subject, written)
            }
            Verb::Patch => {
                let patch = (PatchType::from_content_type(call.content_type())?, body);
                let options = WriteOptions::parse(&query)?;
                let written = self.registry.patch(subject, part, patch, &options).await?;
                self.written(call, subject, written)
            }
            Verb::Delete => {
                let options = delete_options(call, &body)?;
                let deleted = self.registry.delete(subject, &options).await?;
                Ok(match deleted.served {
                    Some(bytes) => answer::json(StatusCode::OK, bytes),
                    None => answer::value(StatusCode::OK, &deleted.object),
                })
            }
            Verb::DeleteCollection => {
                let options = delete_options(call, &body)?;
                let list = ListOptions::parse(&query, false)?;
                let page = self.registry.delete_collection(subject, &list, &options).await?;
                Ok(answer::json(StatusCode::OK, page.bytes(&subject.kind)))
            }
            Verb::Http(_) => Err(Error::MethodNotAllowed),
        }
    }

    async fn get(&self, call: &Call, subject: &Subject) -> Result<Response<Body>> {
        if let Some(version) = call.query().get("resourceVersion").filter(|v| !v.is_empty()) {
            let _: u64 = version.parse().map_err(|_| {
                Error::bad_request(format!(
                    "Invalid value: {version:?}: strconv.ParseUint: parsing {version:?}: invalid syntax"
                ))
            })?;
        }
        let stored = self.registry.get(subject).await?;
        let mut presenter = self.presenter(call)?;
        let bytes = if presenter.is_plain() {
            stored.served(&subject.kind)?
        } else {
            presenter.single(&subject.kind, stored.value(&subject.kind)?).to_string().into()
        };
        Ok(self.packed(call, answer::json(StatusCode::OK, bytes)))
    }

    async fn watch(&self, call: &Call, subject: &Subject) -> Result<Response<Body>> {
        let options = ListOptions::parse(&call.query(), true)?;
        let stream = self.registry.watch(subject, &options, self.presenter(call)?).await?;
        let content_type = match call.accept.form {
            Form::Object => "application/json",
            Form::Table => "application/json;as=Table;v=v1;g=meta.k8s.io",
            Form::Metadata => "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        };
        Ok(answer::typed(StatusCode::OK, HeaderValue::from_static(content_type), Body::stream(stream)))
    }

    pub(super) fn written(&self, call: &Call, subject: &Subject, written: Written) -> Result<Response<Body>> {
        let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
        let mut presenter = self.presenter(call)?;
        let mut response = match written.served.filter(|_| presenter.is_plain()) {
            Some(bytes) => answer::json(code, bytes),
            None => answer::value(code, &presenter.single(&subject.kind, written.object)),
        };
        answer::warn(&mut response, &written.warnings);
        Ok(response)
    }

    fn presenter(&self, call: &Call) -> Result<Presenter> {
        let text = call.query().text("includeObject").to_owned();
        let include = IncludeObject::from_parameter(&text)
            .ok_or_else(|| Error::bad_request(format!("unrecognized includeObject value: {text:?}")))?;
        Ok(Presenter::new(call.accept.form, include, self.registry.config.clock))
    }

    fn packed(&self, call: &Call, response: Response<Body>) -> Response<Body> {
        if call.accept.gzip {
            answer::compress(response, self.registry.config.gzip_from_bytes)
        } else {
            response
        }
    }
}

/// A request's body as a value.
pub(super) fn parse(call: &Call, body: &Bytes) -> Result<Decoded> {
    let content_type = call.content_type();
    let media = MediaType::from_content_type(content_type).ok_or_else(|| {
        Error::UnsupportedMediaType(format!(
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml (got {content_type:?})"
        ))
    })?;
    decode::decode(body, media).map_err(Error::bad_request)
}

fn delete_options(call: &Call, body: &Bytes) -> Result<DeleteOptions> {
    let body: Option<Value> = match body.is_empty() {
        true => None,
        false => Some(parse(call, body)?.value),
    };
    if body.as_ref().is_some_and(|b| !b.is_object()) {
        return Err(Error::bad_request("couldn't get version/kind; the body is not an object"));
    }
    DeleteOptions::parse(&call.query(), body.as_ref())
}
