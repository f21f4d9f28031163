//! Asks other servers.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::Config;
use super::cache::Cache;
use super::reply::UDP_LIMIT;

/// How often the list of servers is gone through.
const ROUNDS: usize = 2;

/// Asks other servers, within bounds.
#[derive(Debug)]
pub(super) struct Forwarder {
    upstreams: Vec<SocketAddr>,
    patience: Duration,
    slots: Semaphore,
    cache: Mutex<Cache>,
    random: Mutex<fastrand::Rng>,
}

impl Forwarder {
    pub(super) fn new(config: &Config, random: fastrand::Rng) -> Self {
        Self {
            upstreams: config.upstreams.clone(),
            patience: config.upstream_timeout,
            slots: Semaphore::new(config.in_flight.min(Semaphore::MAX_PERMITS)),
            cache: Mutex::new(Cache::new(config.cache_entries, config.cache_ttl)),
            random: Mutex::new(random),
        }
    }

    /// An answer that is at hand.
    pub(super) fn cached(&self, query: &Query, signed: bool) -> Option<Message> {
        self.cache.lock().get(query, signed, Instant::now())
    }

    /// The answer of the first server that gives one.
    ///
    /// # Errors
    /// What to tell the client instead.
    pub(super) async fn ask(&self, query: &Query, signed: bool) -> Result<Message, ResponseCode> {
        if self.upstreams.is_empty() {
            return Err(ResponseCode::Refused);
        }
        if let Some(response) = self.cached(query, signed) {
            return Ok(response);
        }
        let _slot = self.slots.try_acquire().map_err(|_| ResponseCode::ServFail)?;
        let mut best = None;
        for upstream in self.upstreams.iter().cycle().take(self.upstreams.len() * ROUNDS) {
            match self.ask_one(*upstream, query, signed).await {
                Some(response) if usable(&response) => {
                    self.cache.lock().put(query.clone(), signed, &response, Instant::now());
                    return Ok(response);
                }
                // Another one may do better, but if none does, this is the answer.
                Some(response) => best = best.or(Some(response)),
                None => tracing::debug!(%upstream, name = %query.name, "no answer"),
            }
        }
        best.ok_or(ResponseCode::ServFail)
    }

    async fn ask_one(&self, upstream: SocketAddr, query: &Query, signed: bool) -> Option<Message> {
        let mut request = Message::new(self.random.lock().u16(..), MessageType::Query, OpCode::Query);
        request.metadata.recursion_desired = true;
        request.add_query(query.clone());
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_LIMIT);
        edns.set_dnssec_ok(signed);
        request.set_edns(edns);
        let bytes = request.to_vec().ok()?;
        let response = timeout(self.patience, over_udp(upstream, &bytes, &request)).await.ok()??;
        if !response.metadata.truncation {
            return Some(response);
        }
        let whole = timeout(self.patience, over_tcp(upstream, &bytes, &request)).await;
        Some(whole.ok().flatten().unwrap_or(response))
    }
}

fn usable(response: &Message) -> bool {
    matches!(response.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
}

/// Whether a message answers the request: anybody can send anything to a port.
fn answers(response: &Message, request: &Message) -> bool {
    response.metadata.id == request.metadata.id
        && response.metadata.message_type == MessageType::Response
        && response.queries == request.queries
}

async fn over_udp(upstream: SocketAddr, bytes: &[u8], request: &Message) -> Option<Message> {
    let any: SocketAddr = match upstream {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // A socket per question gives each a port of its own, which strangers have to guess.
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(upstream).await.ok()?;
    socket.send(bytes).await.ok()?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await.ok()?;
        let response = buffer.get(..length).and_then(|bytes| Message::from_vec(bytes).ok());
        if let Some(response) = response.filter(|response| answers(response, request)) {
            return Some(response);
        }
    }
}

async fn over_tcp(upstream: SocketAddr, bytes: &[u8], request: &Message) -> Option<Message> {
    let mut stream = TcpStream::connect(upstream).await.ok()?;
    let mut framed = u16::try_from(bytes.len()).ok()?.to_be_bytes().to_vec();
    framed.extend_from_slice(bytes);
    stream.write_all(&framed).await.ok()?;
    let length = stream.read_u16().await.ok()?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await.ok()?;
    Message::from_vec(&answer).ok().filter(|response| answers(response, request))
}
