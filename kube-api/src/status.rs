//! Errors as Kubernetes `Status` objects: the only place that knows which error has which code and reason.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::error::{Error, Target};
use crate::field::FieldError;

impl Error {
    /// The HTTP status code.
    pub fn code(&self) -> StatusCode {
        self.classify().0
    }

    /// The machine-readable `reason` of the `Status`.
    pub fn reason(&self) -> &'static str {
        self.classify().1
    }

    fn classify(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound(_) | Self::UnknownResource => (StatusCode::NOT_FOUND, "NotFound"),
            Self::AlreadyExists(_) => (StatusCode::CONFLICT, "AlreadyExists"),
            Self::Conflict { .. } => (StatusCode::CONFLICT, "Conflict"),
            Self::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
            Self::Forbidden { .. } | Self::ForbiddenPath { .. } => (StatusCode::FORBIDDEN, "Forbidden"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            Self::UnsupportedMediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType"),
            Self::NotAcceptable(_) => (StatusCode::NOT_ACCEPTABLE, "NotAcceptable"),
            Self::Expired(_) => (StatusCode::GONE, "Expired"),
            Self::Timeout { .. } => (StatusCode::GATEWAY_TIMEOUT, "Timeout"),
            Self::TooManyRequests(_) => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        }
    }

    /// The `Status` object.
    pub fn status(&self) -> Value {
        let (code, reason) = self.classify();
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.to_string(), "reason": reason, "code": code.as_u16(),
        });
        let details = self.details();
        if !details.is_empty() {
            status["details"] = Value::Object(details);
        }
        status
    }

    /// Seconds after which the client may try again.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Timeout { retry_after, .. } if *retry_after > 0 => Some(*retry_after),
            Self::TooManyRequests(_) => Some(1),
            _ => None,
        }
    }

    fn details(&self) -> Map<String, Value> {
        let mut map = match self {
            Self::NotFound(target) | Self::AlreadyExists(target) | Self::Conflict { target, .. } => {
                target_details(target)
            }
            Self::Forbidden { target, terminating, .. } => forbidden_details(target, terminating.as_deref()),
            Self::Invalid { kind, group, name, errors } => invalid_details(kind, group, name, errors),
            Self::Timeout { too_large_version: true, .. } => object(json!({
                "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            })),
            Self::Internal(message) => object(json!({"causes": [{"message": message}]})),
            _ => Map::new(),
        };
        if let Some(seconds) = self.retry_after() {
            map.insert("retryAfterSeconds".to_owned(), seconds.into());
        }
        map
    }
}

/// The `Status` of a delete that is done.
pub(crate) fn success(target: &Target, uid: &str) -> Value {
    let mut details = target_details(target);
    details.insert("uid".to_owned(), uid.into());
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn target_details(target: &Target) -> Map<String, Value> {
    let fields = [("name", &target.name), ("group", &target.group), ("kind", &target.resource)];
    let given = fields.into_iter().filter(|(_, value)| !value.is_empty());
    given.map(|(key, value)| (key.to_owned(), value.as_str().into())).collect()
}

fn forbidden_details(target: &Target, terminating: Option<&str>) -> Map<String, Value> {
    let mut map = target_details(target);
    if let Some(namespace) = terminating {
        let cause = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
        map.insert("causes".to_owned(), cause);
    }
    map
}

fn invalid_details(kind: &str, group: &str, name: &str, errors: &[FieldError]) -> Map<String, Value> {
    let cause = |e: &FieldError| json!({"reason": e.reason(), "message": e.body(), "field": e.path});
    let mut map = target_details(&Target::new(group, kind, name));
    map.insert("causes".to_owned(), errors.iter().map(cause).collect());
    map
}
