//! Calls for the general server's services.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, Service, http};
use tonic::{Code, Status};

use super::super::front::Front;
use super::super::gateway;
use super::super::metrics::Flow;
use super::connection::{Request, Respond};
use super::deadline::{exceeded, limit, passed};
use super::messages::Framing;
use super::output::{Gone, refuse, trailers};

/// Lets `front` do a call.
pub(super) async fn call(mut front: Front, request: Request, mut respond: Respond) {
    let (metrics, path) = (front.metrics().clone(), request.uri().path().to_owned());
    let running = metrics.calls.begin(&path);
    let flow = metrics.calls.flow(&path);
    // What is not gRPC is not framed as that, and how long it may take is seen where it is answered.
    let is_json = gateway::serves(&path);
    let framing = (!is_json).then(|| Framing::new(front.largest_message()));
    let received = |body| Body::new(Received { body, framing, flow: flow.clone(), refused: false });
    let mut expired = pin!(passed(limit(request.headers()).filter(|_| !is_json)));
    let answered = async {
        let response = match front.call(request.map(received)).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (parts, body) = response.into_parts();
        (http::Response::from_parts(parts, ()), body)
    };
    let gone = async |respond: &mut Respond| {
        // Why does not matter.
        let _ = poll_fn(|cx| respond.poll_reset(cx)).await;
    };
    let (head, body) = tokio::select! {
        answered = answered => answered,
        () = gone(&mut respond) => return,
        () = &mut expired => {
            running.end(Code::DeadlineExceeded);
            return refuse(&mut respond, &exceeded());
        }
    };
    // The client may go away meanwhile.
    if let Ok(code) = send(&mut respond, head, body, flow.as_deref(), expired).await {
        running.end(code);
    }
}

/// Sends an answer, until the client does not wait any more; answers how the call ended.
async fn send(
    respond: &mut Respond,
    head: http::Response<()>,
    body: Body,
    flow: Option<&Flow>,
    mut expired: Pin<&mut impl Future<Output = ()>>,
) -> Result<Code, Gone> {
    let mut body = pin!(body);
    let code = code_in(head.headers());
    let mut stream = respond.send_response(head, body.is_end_stream())?;
    let mut framing = Framing::new(usize::MAX);
    if body.is_end_stream() {
        return Ok(code);
    }
    loop {
        let frame = tokio::select! {
            frame = poll_fn(|cx| body.as_mut().poll_frame(cx)) => frame,
            _ = poll_fn(|cx| stream.poll_reset(cx)) => return Err(Gone),
            () = &mut expired => {
                stream.send_trailers(trailers(&exceeded()))?;
                return Ok(Code::DeadlineExceeded);
            }
        };
        let Some(frame) = frame else {
            stream.send_data(Bytes::new(), true)?;
            return Ok(code);
        };
        // A body that breaks is an answer that does not end well.
        let frame = frame.map_err(|_: Status| Gone)?;
        match frame.into_data() {
            Ok(data) => {
                if let (Some(flow), Ok(messages)) = (flow, framing.messages(&data)) {
                    flow.sent.add(messages);
                }
                send_data(&mut stream, data).await?;
            }
            Err(other) => {
                if let Ok(trailers) = other.into_trailers() {
                    let code = code_in(&trailers);
                    stream.send_trailers(trailers)?;
                    return Ok(code);
                }
            }
        }
    }
}

/// How a call ended, as its header or its trailer says; well if they do not.
fn code_in(fields: &http::HeaderMap) -> Code {
    fields.get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}

async fn send_data(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), Gone> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let fits = poll_fn(|cx| stream.poll_capacity(cx)).await.ok_or(Gone)??;
        stream.send_data(data.split_to(fits.min(data.len())), false)?;
    }
    Ok(())
}

/// What a client sends, as the services read it.
struct Received {
    body: h2::RecvStream,
    framing: Option<Framing>,
    flow: Option<Arc<Flow>>,
    /// Whether a message was too large; then nothing more is read.
    refused: bool,
}

impl Received {
    fn take(&mut self, data: Bytes) -> Result<http_body::Frame<Bytes>, Status> {
        let broken = |error: h2::Error| Status::cancelled(error.to_string());
        self.body.flow_control().release_capacity(data.len()).map_err(broken)?;
        if let Some(framing) = &mut self.framing {
            let messages = framing.messages(&data).inspect_err(|_| self.refused = true)?;
            self.flow.iter().for_each(|flow| flow.received.add(messages));
        }
        Ok(http_body::Frame::data(data))
    }
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        if self.refused {
            return Poll::Ready(None);
        }
        let frame = match ready!(self.body.poll_data(cx)) {
            Some(Ok(data)) => self.take(data).map_err(Into::into),
            Some(Err(error)) => Err(error.into()),
            None => match ready!(self.body.poll_trailers(cx)) {
                Ok(Some(trailers)) => Ok(http_body::Frame::trailers(trailers)),
                Ok(None) => return Poll::Ready(None),
                Err(error) => Err(error.into()),
            },
        };
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
