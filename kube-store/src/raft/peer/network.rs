//! The transport: a connection to each other member, made anew when it breaks.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::dial::{PeerTls, dial};
use super::r#gen::messages as pb;
use super::r#gen::messages::peer_client::PeerClient;
use super::lane::Lane;
use super::metrics::{LinkMetrics, PeerMetrics};
use super::{GROUP, MAX_BATCH, MEMBER, REMOVED};
use crate::raft::{Inbox, MemberInfo, Transport};

/// First and longest pause before a connection is made again.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];

/// How often the way to another member is measured.
const PROBE: Duration = Duration::from_secs(5);

/// What a member needs to reach others.
#[derive(Debug)]
pub struct PeerConfig {
    /// Number of the group.
    pub cluster: u64,
    /// This member's number.
    pub id: u64,
    /// The members known so far; a group tells of others.
    pub members: Vec<MemberInfo>,
    /// For members whose URLs begin with `https`. Default none.
    pub tls: Option<PeerTls>,
    /// Frames that wait for one member, in bytes; beyond it the oldest are dropped. Default 64 MiB.
    pub queue_bytes: usize,
}

impl PeerConfig {
    /// Of a member, without TLS.
    pub fn new(cluster: u64, id: u64, members: Vec<MemberInfo>) -> Self {
        Self { cluster, id, members, tls: None, queue_bytes: 64 << 20 }
    }
}

/// The other members as one of them reaches them over gRPC. Clones are the same network.
#[derive(Debug, Clone)]
pub struct PeerNetwork(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: PeerConfig,
    links: Mutex<HashMap<u64, Link>>,
    inbox: Arc<OnceLock<Inbox>>,
    metrics: Arc<PeerMetrics>,
}

/// The way to one member. Dropping it closes its connections.
#[derive(Debug)]
struct Link {
    urls: Vec<String>,
    messages: Arc<Lane>,
    snapshots: Arc<Lane>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Messages,
    Snapshots,
}

impl PeerNetwork {
    /// The network of a member. Call it within a tokio runtime.
    pub fn new(config: PeerConfig) -> Self {
        let members = config.members.clone();
        let network = Self(Arc::new(Inner {
            config,
            links: Mutex::default(),
            inbox: Arc::default(),
            metrics: Arc::default(),
        }));
        network.members(&members);
        network
    }

    /// Whom to tell when another member says that this one was removed.
    pub fn attach(&self, inbox: Inbox) {
        let _ = self.0.inbox.set(inbox);
    }

    /// What goes to other members, counted.
    pub fn metrics(&self) -> Arc<PeerMetrics> {
        self.0.metrics.clone()
    }

    fn link(&self, member: &MemberInfo) -> Link {
        let lane = || Arc::new(Lane::new(self.0.config.queue_bytes));
        let (messages, snapshots) = (lane(), lane());
        let send = |kind, lane: &Arc<Lane>| {
            let sender = Sender {
                kind,
                lane: lane.clone(),
                to: member.id,
                urls: member.peer_urls.clone(),
                from: (self.0.config.cluster, self.0.config.id),
                tls: self.0.config.tls.clone(),
                inbox: self.0.inbox.clone(),
                metrics: self.0.metrics.of(member.id),
            };
            AbortOnDropHandle::new(tokio::spawn(sender.run()))
        };
        let tasks = [send(Kind::Messages, &messages), send(Kind::Snapshots, &snapshots)];
        Link { urls: member.peer_urls.clone(), messages, snapshots, _tasks: tasks }
    }

    fn push(&self, to: u64, frame: Bytes, kind: Kind) {
        if let Some(link) = self.0.links.lock().get(&to) {
            match kind {
                Kind::Messages => link.messages.push(frame),
                Kind::Snapshots => link.snapshots.push(frame),
            }
        }
    }
}

impl Transport for PeerNetwork {
    fn send(&self, to: u64, frame: Bytes) {
        self.push(to, frame, Kind::Messages);
    }

    fn send_part(&self, to: u64, frame: Bytes) {
        self.push(to, frame, Kind::Snapshots);
    }

    fn members(&self, members: &[MemberInfo]) {
        // A member that has not joined yet knows nobody, but was told whom to ask.
        if members.is_empty() {
            return;
        }
        let mut links = self.0.links.lock();
        self.0.metrics.retain(|id| members.iter().any(|member| member.id == id));
        links.retain(|id, link| members.iter().any(|m| m.id == *id && m.peer_urls == link.urls));
        for member in members.iter().filter(|member| member.id != self.0.config.id) {
            links.entry(member.id).or_insert_with(|| self.link(member));
        }
    }
}

/// Sends the frames of one lane.
struct Sender {
    kind: Kind,
    lane: Arc<Lane>,
    to: u64,
    urls: Vec<String>,
    from: (u64, u64),
    tls: Option<PeerTls>,
    inbox: Arc<OnceLock<Inbox>>,
    metrics: Arc<LinkMetrics>,
}

impl Sender {
    /// Connects whenever there is something to send, to one URL after the other, until the link is dropped.
    async fn run(self) {
        let [first, longest] = PAUSES;
        let mut pause = first;
        for url in self.urls.iter().cycle() {
            self.lane.wait().await;
            let begun = Instant::now();
            let ended = self.send(url).await;
            self.metrics.broken.add(1);
            // What waited is old by the time that somebody listens again.
            self.lane.clear();
            if begun.elapsed() > longest {
                pause = first;
            }
            self.tell(url, &ended, pause == first);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    async fn send(&self, url: &str) -> Status {
        let channel = match dial(url, self.tls.as_ref()).await {
            Ok(channel) => channel,
            Err(error) => return Status::unavailable(error.to_string()),
        };
        let mut client = PeerClient::new(channel).max_encoding_message_size(MAX_BATCH);
        let probing = probe(client.clone(), self.metrics.clone());
        let lane = (self.lane.clone(), self.metrics.clone());
        let batches = futures::stream::unfold(lane, |(lane, metrics)| async move {
            let frames = lane.take().await;
            metrics.sent.add(frames.iter().map(|frame| frame.len() as u64).sum());
            Some((pb::Frames { frames }, (lane, metrics)))
        });
        let mut request = Request::new(batches);
        for (name, number) in [(GROUP, self.from.0), (MEMBER, self.from.1)] {
            // Hexadecimal digits are always valid there.
            if let Ok(value) = AsciiMetadataValue::try_from(format!("{number:x}")) {
                request.metadata_mut().insert(name, value);
            }
        }
        let ended = match self.kind {
            Kind::Messages => tokio::select! {
                ended = client.messages(request) => ended,
                failed = probing => Err(failed),
            },
            Kind::Snapshots => client.snapshots(request).await,
        };
        ended.map_or_else(|status| status, |_| Status::unavailable("the member ended the stream"))
    }

    fn tell(&self, url: &str, ended: &Status, first: bool) {
        let reason = ended.message();
        if ended.code() == Code::PermissionDenied && reason == REMOVED {
            if let Some(inbox) = self.inbox.get() {
                inbox.removed();
            }
        } else if matches!(ended.code(), Code::PermissionDenied | Code::FailedPrecondition) {
            tracing::error!(member = self.to, url, reason, "a member refuses this one");
        } else if first {
            tracing::warn!(member = self.to, url, reason, "a member cannot be reached");
        } else {
            tracing::debug!(member = self.to, url, reason, "a member cannot be reached");
        }
    }
}

/// Measures again and again how long a member takes to answer something small; ends when it does not answer.
async fn probe(mut client: PeerClient<Channel>, metrics: Arc<LinkMetrics>) -> Status {
    loop {
        let begun = Instant::now();
        if let Err(status) = client.members(pb::MembersRequest {}).await {
            return status;
        }
        metrics.round_trips.note(begun.elapsed());
        tokio::time::sleep(PROBE).await;
    }
}
