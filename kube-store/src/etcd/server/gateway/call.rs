//! One call, from JSON to the services and back.

use std::future::ready;
use std::pin::Pin;

use bytes::{Buf, Bytes, BytesMut};
use futures::{FutureExt, Stream, StreamExt, stream};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};
use tonic::codegen::{Service, http};
use tonic::service::Routes;
use tonic::{Code, Status};

use super::super::certified::Certified;
use super::super::etcd_server::EtcdServer;
use super::super::front::admit;
use super::super::metrics::{Flow, code_of};
use super::super::pages::Response;
use super::super::rpc::{PREFIX, exceeded, limit, passed};
use super::answer;
use super::requests::Requests;
use super::schema::{Method, Streams};
use super::to_json::write;

/// A message that is told, or why there are no more.
pub(super) type Told = Result<String, Status>;

/// What headers begin with that are to be the call's own.
const METADATA: &str = "grpc-metadata-";

pub(super) struct Call {
    server: EtcdServer,
    services: Routes,
    method: &'static Method,
    headers: HeaderMap,
    body: Body,
}

impl Call {
    pub(super) fn new(
        server: EtcdServer,
        services: Routes,
        method: &'static Method,
        request: Request<Body>,
    ) -> Self {
        let (parts, body) = request.into_parts();
        Self { server, services, method, headers: parts.headers, body }
    }

    pub(super) async fn respond(self) -> Response {
        let metrics = self.server.metrics.clone();
        let flow = metrics.calls.flow(self.method.path);
        let largest = self.server.config.largest_message();
        let requests = Requests::new(self.body, self.method, largest, flow.clone());
        let body = match self.method.streams {
            Streams::None | Streams::Down => requests.only().await,
            Streams::Both => requests.all().await,
        };
        let request = match body {
            Ok(body) => request(self.method, &self.headers, body),
            Err(status) => return answer::refusal(&status),
        };
        let (server, services, method) = (self.server, self.services, self.method);
        let (sender, receiver) = mpsc::channel(1);
        let limit = limit(&self.headers);
        let call = async move {
            let running = metrics.calls.begin(method.path);
            let outcome = tokio::select! {
                outcome = forward(&server, services, method, request, &sender, flow.as_deref()) => outcome,
                () = passed(limit) => Err(exceeded()),
            };
            running.end(code_of(&outcome));
            if let Err(status) = outcome {
                // Without a client nobody needs to know.
                let _ = sender.send(Err(status)).await;
            }
        };
        // The call goes on while somebody waits for what it tells, and ends with him.
        let nothing = call.into_stream().filter_map(|()| ready(None));
        let told = stream::select(nothing, ReceiverStream::new(receiver));
        respond(method.streams, Box::pin(told)).await
    }
}

async fn respond(streams: Streams, mut told: Pin<Box<dyn Stream<Item = Told> + Send>>) -> Response {
    let first = told.next().await;
    match (streams, first) {
        (Streams::None, first) => {
            // It may still have to end.
            told.for_each(|_| ready(())).await;
            let none = || Err(Status::internal("there is no answer"));
            first.unwrap_or_else(none).map_or_else(|status| answer::refusal(&status), answer::message)
        }
        (_, first) => answer::messages(first, told),
    }
}

/// The request as a client of gRPC sends it. Of the headers it has those that etcd's gateway hands on and the server looks at.
fn request(method: &Method, headers: &HeaderMap, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = Uri::from_static(method.path);
    for (name, value) in headers {
        let own = name.as_str().strip_prefix(METADATA).and_then(|name| name.parse::<HeaderName>().ok());
        if let Some(name) = own.or_else(|| (name == header::AUTHORIZATION).then(|| name.clone())) {
            request.headers_mut().append(name, value.clone());
        }
    }
    let grpc = HeaderValue::from_static("application/grpc");
    request.headers_mut().insert(header::CONTENT_TYPE, grpc);
    // As in etcd, a client's certificate says nothing of who calls.
    request.extensions_mut().insert(Certified::default());
    request
}

/// Lets the services do a call; hands on what they answer.
async fn forward(
    server: &EtcdServer,
    mut services: Routes,
    method: &Method,
    request: Request<Body>,
    told: &mpsc::Sender<Told>,
    flow: Option<&Flow>,
) -> Result<(), Status> {
    admit(server, &request)?;
    let response = match services.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    outcome_in(response.headers())?;
    let (mut body, mut read) = (response.into_body(), BytesMut::new());
    loop {
        while let Some(message) = take_message(&mut read) {
            let mut text = String::new();
            write(method.response, message, &mut text)
                .map_err(|error| Status::internal(error.to_string()))?;
            flow.into_iter().for_each(|flow| flow.sent.add(1));
            // Without a client, this ends as well.
            let _ = told.send(Ok(text)).await;
        }
        match body.frame().await.transpose()?.map(http_body::Frame::into_data) {
            Some(Ok(data)) => read.extend_from_slice(&data),
            Some(Err(frame)) => return frame.into_trailers().map_or(Ok(()), |fields| outcome_in(&fields)),
            None => return Ok(()),
        }
    }
}

/// How a call ended, as its header or its trailer says.
fn outcome_in(fields: &HeaderMap) -> Result<(), Status> {
    match Status::from_header_map(fields) {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => Ok(()),
    }
}

/// The next message that is complete.
fn take_message(read: &mut BytesMut) -> Option<Bytes> {
    let mut length = read.get(1..PREFIX)?;
    let end = PREFIX.checked_add(length.get_u32() as usize).filter(|end| *end <= read.len())?;
    Some(read.split_to(end).freeze().slice(PREFIX..))
}
