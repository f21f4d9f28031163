use std::convert::Infallible;
use std::path::PathBuf;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::route::Place;
use super::{Body, find};
use crate::log::{self, Query};
use crate::seam::{ContainerId, ContainerState, ContainerStatus, Runtime, RuntimeEvent, RuntimeEventKind};
use crate::{Error, Result};

/// Pieces of a log that wait for a slow client.
const QUEUE: usize = 4;

pub(super) async fn answer(
    runtime: &dyn Runtime,
    at: &Place,
    parameters: &[(String, String)],
    now: Timestamp,
) -> Result<Response<Body>> {
    let query = Query::from_parameters(parameters, now)?;
    // Subscribed before the container is looked at, so that its end is not missed in between.
    let events = runtime.events();
    let container = choose(find::instances(runtime, at).await?, at, query.previous)?;
    let ended = end_of(events, container.id.clone(), container.state != ContainerState::Running);
    let (to, lines) = mpsc::channel::<Bytes>(QUEUE);
    let path: PathBuf = container.log_path;
    tokio::fs::metadata(&path).await.map_err(|_| Error::not_found("log", path.display().to_string()))?;
    tokio::spawn(async move {
        if let Err(error) = log::send(&path, &query, ended, to).await {
            tracing::debug!(%error, "sending a log");
        }
    });
    let body =
        StreamBody::new(ReceiverStream::new(lines).map(|piece| Ok::<_, Infallible>(Frame::data(piece))));
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}

/// The instance whose log is wanted.
fn choose(instances: Vec<ContainerStatus>, at: &Place, previous: bool) -> Result<ContainerStatus> {
    if instances.is_empty() {
        return Err(find::missing(at));
    }
    let of_previous = || {
        let text = format!("previous terminated container {:?} in pod {:?} not found", at.container, at.pod);
        Error::Invalid(text)
    };
    // While a container waits for its next start, its last instance is both the newest and the previous one.
    let mut instances = instances.into_iter();
    let newest = instances.next().filter(|newest| !previous || newest.state == ContainerState::Exited);
    match (newest, previous) {
        (Some(newest), false) => Ok(newest),
        (newest, true) => instances.next().or(newest).ok_or_else(of_previous),
        (None, false) => Err(find::missing(at)),
    }
}

/// Resolves when the container has ended.
async fn end_of(mut events: BoxStream<'static, RuntimeEvent>, id: ContainerId, has_ended: bool) {
    if has_ended {
        return;
    }
    while let Some(event) = events.next().await {
        match event.kind {
            RuntimeEventKind::ContainerExited(ended) | RuntimeEventKind::ContainerRemoved(ended)
                if ended == id =>
            {
                return;
            }
            // Its end may be among what was lost. Ending early lets the client ask again; never ending would not.
            RuntimeEventKind::Lagged => return,
            _ => {}
        }
    }
}
