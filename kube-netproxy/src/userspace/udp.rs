//! Carries UDP packets to endpoints: every client address gets a socket of its own towards its endpoint.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::UserspaceConfig;
use super::balancer::Balancer;
use crate::Backend;

const LARGEST: usize = 64 * 1024;

struct Session {
    backend: Backend,
    socket: Arc<UdpSocket>,
    seen: Arc<Mutex<Instant>>,
    _reader: DropGuard,
}

/// Serves until `shutdown`.
pub(super) async fn serve(
    listener: UdpSocket,
    balancer: Arc<Mutex<Balancer>>,
    config: UserspaceConfig,
    shutdown: CancellationToken,
) {
    let listener = Arc::new(listener);
    let mut sessions: HashMap<SocketAddr, Session> = HashMap::new();
    let mut buffer = vec![0; LARGEST];
    loop {
        let received = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            received = listener.recv_from(&mut buffer) => received,
        };
        // A client that is gone shows as an error of this socket; it means nothing for the others.
        let Ok((length, client)) = received else { continue };
        let usable = sessions.get(&client).is_some_and(|session| balancer.lock().serves(&session.backend));
        if !usable {
            sessions.remove(&client);
            make_room(&mut sessions, &config);
            let Some(session) = open(&listener, client, &balancer, &config).await else { continue };
            sessions.insert(client, session);
        }
        if let (Some(session), Some(packet)) = (sessions.get(&client), buffer.get(..length)) {
            *session.seen.lock() = Instant::now();
            if let Err(error) = session.socket.send(packet).await {
                tracing::debug!(backend = %session.backend, %error, "cannot send to an endpoint");
            }
        }
    }
}

/// Forgets clients that are silent, and when that is not enough, the one that is silent the longest.
fn make_room(sessions: &mut HashMap<SocketAddr, Session>, config: &UserspaceConfig) {
    if sessions.len() < config.udp_sessions {
        return;
    }
    let now = Instant::now();
    sessions.retain(|_, session| now.duration_since(*session.seen.lock()) < config.udp_timeout);
    if sessions.len() >= config.udp_sessions {
        let oldest =
            sessions.iter().min_by_key(|(_, session)| *session.seen.lock()).map(|(client, _)| *client);
        oldest.and_then(|client| sessions.remove(&client));
    }
}

async fn open(
    listener: &Arc<UdpSocket>,
    client: SocketAddr,
    balancer: &Mutex<Balancer>,
    config: &UserspaceConfig,
) -> Option<Session> {
    let now = Instant::now();
    let backend = balancer.lock().pick(client.ip(), now, false)?;
    let any: SocketAddr = match backend.address.is_ipv4() {
        true => (Ipv4Addr::UNSPECIFIED, 0).into(),
        false => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = Arc::new(UdpSocket::bind(any).await.ok()?);
    socket.connect((backend.address, backend.port)).await.ok()?;
    let (seen, end) = (Arc::new(Mutex::new(now)), CancellationToken::new());
    let back = answer(listener.clone(), client, socket.clone(), seen.clone(), config.udp_timeout);
    tokio::spawn(end.clone().run_until_cancelled_owned(back));
    Some(Session { backend, socket, seen, _reader: end.drop_guard() })
}

/// Carries answers back until the client was silent for long enough.
async fn answer(
    listener: Arc<UdpSocket>,
    client: SocketAddr,
    socket: Arc<UdpSocket>,
    seen: Arc<Mutex<Instant>>,
    idle: std::time::Duration,
) {
    let mut buffer = vec![0; LARGEST];
    loop {
        match timeout(idle, socket.recv(&mut buffer)).await {
            Ok(Ok(length)) => {
                *seen.lock() = Instant::now();
                let _ = listener.send_to(buffer.get(..length).unwrap_or_default(), client).await;
            }
            // Nobody listens at the endpoint; the client learns of it by silence, as with any lost packet.
            Ok(Err(_)) => {}
            Err(_) if seen.lock().elapsed() >= idle => return,
            Err(_) => {}
        }
    }
}
