//! Building answers.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY};
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;

use crate::body::Body;
use crate::error::Error;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A JSON document.
pub(super) fn json(code: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    typed(code, JSON, Body::from(body.into()))
}

/// A value as JSON.
pub(super) fn value(code: StatusCode, value: &Value) -> Response<Body> {
    json(code, value.to_string())
}

/// Plain text.
pub(super) fn text(code: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    typed(code, HeaderValue::from_static("text/plain; charset=utf-8"), Body::from(body.into()))
}

/// A body of this type.
pub(super) fn typed(code: StatusCode, content_type: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// An error as a `Status`.
pub(super) fn error(error: &Error) -> Response<Body> {
    let mut response = value(error.code(), &error.status());
    if let Some(seconds) = error.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// Adds `Warning` headers.
pub(super) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let text: String = warning.chars().filter(|c| !c.is_control()).collect();
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(header) = HeaderValue::from_bytes(format!("299 - \"{text}\"").as_bytes()) {
            response.headers_mut().append("warning", header);
        }
    }
}

/// Compresses a known body of at least `from` bytes.
pub(super) fn compress(mut response: Response<Body>, from: usize) -> Response<Body> {
    let Some(chunks) = response.body().known() else { return response };
    if chunks.iter().map(Bytes::len).sum::<usize>() < from {
        return response;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(1));
    let written = chunks.iter().try_for_each(|chunk| encoder.write_all(chunk));
    if let (Ok(()), Ok(packed)) = (written, encoder.finish()) {
        *response.body_mut() = Body::from(packed);
        let headers = response.headers_mut();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    response
}
