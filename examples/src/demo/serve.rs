use std::convert::Infallible;
use std::path::Path;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

/// Serves HTTP on port 8080 (or `$PORT`) until SIGTERM: `/` says which pod answers; `/healthz` and `/readyz` fail while a file
/// `/tmp/unhealthy` or `/tmp/unready` exists, so that probes can be tried with `kubectl exec`.
pub(super) fn main(_: &[String]) -> i32 {
    let port = std::env::var("PORT").ok().and_then(|p| p.parse().ok()).unwrap_or(8080);
    match super::block_on(serve(port)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) | Err(error) => {
            super::tools::complain(&format!("demo: port {port}: {error}"));
            1
        }
    }
}

async fn serve(port: u16) -> std::io::Result<()> {
    let listener = TcpListener::bind(("::", port)).await?;
    let mut end = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    super::tools::say(&format!("{} listens on port {port}", pod_name()));
    loop {
        tokio::select! {
            connection = listener.accept() => {
                if let Ok((stream, _)) = connection {
                    tokio::task::spawn_local(answer(stream));
                }
            }
            _ = end.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

async fn answer(stream: TcpStream) {
    let peer = stream.peer_addr().map(|a| a.ip().to_string()).unwrap_or_default();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        super::tools::say(&format!("{peer} {} {}", request.method(), request.uri()));
        let response = page(request.uri().path());
        async move { Ok::<_, Infallible>(response) }
    });
    // A client that breaks off is its own affair.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn page(path: &str) -> Response<Full<Bytes>> {
    let absent =
        |file: &str| if Path::new(file).exists() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let (status, text) = match path {
        "/" => (StatusCode::OK, format!("{}\n", pod_name())),
        "/healthz" => (absent("/tmp/unhealthy"), String::new()),
        "/readyz" => (absent("/tmp/unready"), String::new()),
        _ => (StatusCode::NOT_FOUND, "not found\n".into()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

/// A pod's host name is its name.
fn pod_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
