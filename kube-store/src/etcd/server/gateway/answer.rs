//! Answers as etcd's gateway writes them.

use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use tonic::body::Body;
use tonic::codegen::http::{HeaderName, HeaderValue, StatusCode};
use tonic::{Code, Status};

use super::super::pages::{self, Response};
use super::call::Told;
use super::to_json::quote;

/// The HTTP status of a code.
pub(super) fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// That a call has failed.
pub(super) fn refusal(status: &Status) -> Response {
    let mut message = String::new();
    quote(status.message(), &mut message);
    let code = status.code() as i32;
    let text = format!("{{\"error\":{message},\"code\":{code},\"message\":{message}}}");
    pages::json(http_status(status.code()).as_u16(), text)
}

/// The only message of a call.
pub(super) fn message(text: String) -> Response {
    marked(pages::json(200, text))
}

/// The messages of a stream, of which the first decides over the HTTP status.
pub(super) fn messages(first: Option<Told>, rest: Pin<Box<dyn Stream<Item = Told> + Send>>) -> Response {
    let status = match &first {
        Some(Err(status)) => http_status(status.code()),
        _ => StatusCode::OK,
    };
    let lines = stream::iter(first).chain(rest).map(|told| Ok::<_, Status>(Frame::data(line(told))));
    let mut response = pages::json(status.as_u16(), String::new());
    *response.body_mut() = Body::new(StreamBody::new(lines));
    marked(response)
}

/// Says, as etcd's gateway does, that gRPC is behind it.
fn marked(mut response: Response) -> Response {
    const KIND: HeaderName = HeaderName::from_static("grpc-metadata-content-type");
    response.headers_mut().insert(KIND, HeaderValue::from_static("application/grpc"));
    response
}

fn line(told: Told) -> Bytes {
    let text = match told {
        Ok(text) => format!("{{\"result\":{text}}}\n"),
        Err(status) => {
            let (code, http) = (status.code() as i32, http_status(status.code()));
            let mut message = String::new();
            quote(status.message(), &mut message);
            let (number, words) = (http.as_u16(), http.canonical_reason().unwrap_or_default());
            format!(
                "{{\"error\":{{\"grpc_code\":{code},\"http_code\":{number},\"message\":{message},\"http_status\":\"{words}\"}}}}"
            )
        }
    };
    text.into()
}
