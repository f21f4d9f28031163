//! DNS over UDP and TCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::driver::{Outcome, Resolver};
use super::reply::{self, Request};

/// Serves UDP for as long as the future lives.
pub(super) async fn udp(socket: UdpSocket, resolver: Arc<Resolver>) {
    let socket = Arc::new(socket);
    let mut buffer = [0; 4096];
    loop {
        // Errors are those of answers that could not be delivered; they belong to nobody here.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        match reply::read(buffer.get(..length).unwrap_or_default()) {
            Request::Ignore => {}
            Request::Done(response) => send(&socket, client, response, u16::MAX).await,
            Request::Question(request, query) => {
                let limit = reply::udp_limit(&request);
                match resolver.answer(request, query) {
                    Outcome::Now(response) => send(&socket, client, response, limit).await,
                    Outcome::Later(later) => {
                        let (socket, resolver) = (socket.clone(), resolver.clone());
                        tokio::spawn(async move {
                            let response = resolver.finish(later).await;
                            send(&socket, client, response, limit).await;
                        });
                    }
                }
            }
        }
    }
}

async fn send(socket: &UdpSocket, client: SocketAddr, response: Message, limit: u16) {
    if let Some(bytes) = reply::write(response, limit)
        && let Err(error) = socket.send_to(&bytes, client).await
    {
        tracing::debug!(%client, %error, "cannot answer");
    }
}

/// Serves TCP for as long as the future lives.
pub(super) async fn tcp(listener: TcpListener, resolver: Arc<Resolver>, connections: usize, idle: Duration) {
    let slots = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let resolver = resolver.clone();
                tokio::spawn(async move {
                    converse(stream, &resolver, idle).await;
                    drop(slot);
                });
            }
            // Usually too many open files: give others time to end.
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Answers one question after the other until the client is silent, leaves, or does not speak DNS.
async fn converse(mut stream: TcpStream, resolver: &Resolver, idle: Duration) -> Option<()> {
    let _ = stream.set_nodelay(true);
    loop {
        let question = timeout(idle, receive(&mut stream)).await.ok()??;
        let response = match reply::read(&question) {
            Request::Ignore => return None,
            Request::Done(response) => response,
            Request::Question(request, query) => match resolver.answer(request, query) {
                Outcome::Now(response) => response,
                Outcome::Later(later) => resolver.finish(later).await,
            },
        };
        let bytes = reply::write(response, u16::MAX)?;
        let mut framed = u16::try_from(bytes.len()).ok()?.to_be_bytes().to_vec();
        framed.extend_from_slice(&bytes);
        timeout(idle, stream.write_all(&framed)).await.ok()?.ok()?;
    }
}

async fn receive(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = stream.read_u16().await.ok()?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await.ok()?;
    Some(message)
}
