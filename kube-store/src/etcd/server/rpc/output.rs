use std::future::poll_fn;

use bytes::{Bytes, BytesMut};
use h2::SendStream;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use tonic::Status;
use tonic::codegen::http;

use super::connection::Respond;

/// The client does not want the answer any more.
#[derive(Debug)]
pub(in super::super) struct Gone;

impl From<h2::Error> for Gone {
    fn from(_: h2::Error) -> Self {
        Self
    }
}

/// Where the messages of an answer go.
pub(in super::super) struct Output(SendStream<Bytes>);

impl Output {
    /// Begins an answer.
    pub(in super::super) fn begin(respond: &mut Respond) -> Result<Self, Gone> {
        Ok(Self(respond.send_response(head(), false)?))
    }

    /// Sends as much as fits of what is in `buffer`, at least something; waits while nothing fits.
    pub(in super::super) async fn send(&mut self, buffer: &mut BytesMut) -> Result<(), Gone> {
        self.0.reserve_capacity(buffer.len());
        let fits = poll_fn(|cx| self.0.poll_capacity(cx)).await.ok_or(Gone)??;
        let part = buffer.split_to(fits.min(buffer.len())).freeze();
        Ok(self.0.send_data(part, false)?)
    }

    /// Sends something small, whether or not it fits.
    pub(super) fn send_now(&mut self, message: Bytes) -> Result<(), Gone> {
        Ok(self.0.send_data(message, false)?)
    }

    /// Resolves when the client has given up.
    pub(in super::super) async fn gone(&mut self) {
        // Why does not matter.
        let _ = poll_fn(|cx| self.0.poll_reset(cx)).await;
    }

    /// Ends an answer.
    pub(in super::super) fn end(mut self, outcome: Result<(), Status>) {
        let trailers = match outcome {
            Ok(()) => HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]),
            Err(status) => trailers(&status),
        };
        // Without a client nobody needs to know how it ended.
        let _ = self.0.send_trailers(trailers);
    }
}

const GRPC_STATUS: header::HeaderName = header::HeaderName::from_static("grpc-status");

fn head() -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

pub(super) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("13"));
    }
    trailers
}

/// Answers that a call has failed.
pub(in super::super) fn refuse(respond: &mut Respond, status: &Status) {
    let mut response = head();
    response.headers_mut().extend(trailers(status));
    // Without a client nobody needs to know.
    let _ = respond.send_response(response, true);
}
