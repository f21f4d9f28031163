//! One request: who, what, may they, answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Limited};

use super::answer;
use super::{Inner, ResponseFuture};
use crate::auth::{Attributes, Decision, User};
use crate::body::Body;
use crate::error::{Error, Result};
use crate::request::{Accept, Query, RequestInfo, Verb};

/// A request's body, whatever its type was; of an error only the text is kept.
pub(super) type Incoming = UnsyncBoxBody<Bytes, String>;

/// A request whose sender is known and may send it.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) info: RequestInfo,
    pub(super) user: User,
    pub(super) accept: Accept,
    pub(super) parts: Parts,
}

impl Call {
    pub(super) fn query(&self) -> Query<'_> {
        Query::parse(self.parts.uri.query().unwrap_or_default())
    }

    pub(super) fn content_type(&self) -> &str {
        let header = self.parts.headers.get(http::header::CONTENT_TYPE);
        header.and_then(|h| h.to_str().ok()).unwrap_or_default()
    }
}

impl Inner {
    /// The code of an async function belongs to whoever polls it: boxed in a function without parameters it is compiled here, once.
    pub(super) fn answered(self: Arc<Self>, request: Request<Incoming>) -> ResponseFuture {
        Box::pin(async move { Ok(self.answer(request).await) })
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let audit = self.registry.uid();
        let started = tokio::time::Instant::now();
        let (parts, body) = request.into_parts();
        let method = parts.method.clone();
        let mut label = None;
        let result = self.respond(parts, body, &mut label).await;
        let mut response = result.unwrap_or_else(|error| answer::error(&error));
        self.metrics.observe(label.as_ref(), &method, response.status(), started.elapsed());
        if method == http::Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        let headers = response.headers_mut();
        if let Ok(audit) = HeaderValue::from_str(&audit) {
            headers.insert("audit-id", audit);
        }
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        response
    }

    async fn respond(
        &self,
        parts: Parts,
        body: Incoming,
        label: &mut Option<RequestInfo>,
    ) -> Result<Response<Body>> {
        let user = self.authenticator.authenticate(&parts.headers, &parts.extensions, &self.registry).await?;
        let mut info =
            RequestInfo::parse(&parts.method, parts.uri.path(), parts.uri.query().unwrap_or_default())?;
        name_of_collection(&mut info, &parts);
        *label = Some(info.clone());
        let attributes = Attributes { user, info };
        self.authorize(&attributes).await?;
        let Attributes { user, info } = attributes;
        let call = Call { info, user, accept: Accept::default(), parts };
        if super::node::is_for_node(&call.info) {
            return self.node_request(call, body).await;
        }
        let bytes = self.read(&call, body).await?;
        let limit =
            if call.info.verb == Verb::Watch { Duration::MAX } else { self.registry.config.request_timeout };
        let answered = tokio::time::timeout(limit, self.dispatch(call, bytes)).await;
        answered.unwrap_or_else(|_| Err(timed_out()))
    }

    async fn authorize(&self, attributes: &Attributes) -> Result<()> {
        match self.authorizer.authorize(attributes).await {
            Decision::Allow => Ok(()),
            Decision::NoOpinion(reason) => Err(attributes.refusal(&reason)),
        }
    }

    async fn read(&self, call: &Call, body: Incoming) -> Result<Bytes> {
        let limit = self.registry.config.max_body_bytes;
        let length = call.parts.headers.get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|l| l.to_str().ok()).and_then(|l| l.parse::<usize>().ok());
        if length.is_some_and(|l| l > limit) {
            return Err(Error::TooLarge(limit));
        }
        let collecting = Limited::new(body, limit).collect();
        let collected = tokio::time::timeout(self.registry.config.request_timeout, collecting).await;
        let collected = collected.map_err(|_| timed_out())?;
        collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
            let too_large = error.is::<http_body_util::LengthLimitError>();
            if too_large { Error::TooLarge(limit) } else { Error::bad_request(error) }
        })
    }

    async fn dispatch(&self, mut call: Call, body: Bytes) -> Result<Response<Body>> {
        if !call.info.is_resource {
            return self.document(&call).await;
        }
        call.accept = Accept::parse(&call.parts.headers)?;
        self.resource(&call, body).await
    }
}

fn timed_out() -> Error {
    Error::Timeout {
        message: "request did not complete within the allotted timeout".to_owned(),
        retry_after: 0,
        too_large_version: false,
    }
}

/// A list or watch of exactly one name is authorized as being about that name.
fn name_of_collection(info: &mut RequestInfo, parts: &Parts) {
    if !info.is_resource || !info.name.is_empty() || !matches!(info.verb, Verb::List | Verb::Watch) {
        return;
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let selector = crate::selector::FieldSelector::parse(query.text("fieldSelector"));
    if let Ok(selector) = selector
        && let Some(name) = selector.exact("metadata.name")
        && !name.contains(['/', '%'])
    {
        info.name = name.to_owned();
    }
}
