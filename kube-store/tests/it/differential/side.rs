//! One of the two servers, and its answers with all that may differ made equal.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

use super::accounts::Token;
use super::members::Names;
use super::traffic::Call;
use crate::wire::etcdserverpb as pb;
use crate::wire::v3electionpb::election_client::ElectionClient;
use crate::wire::v3lockpb::lock_client::LockClient;
use pb::auth_client::AuthClient;
use pb::cluster_client::ClusterClient;
use pb::kv_client::KvClient;
use pb::lease_client::LeaseClient;
use pb::maintenance_client::MaintenanceClient;
use pb::watch_client::WatchClient;
use pb::watch_request::RequestUnion;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// What a server said to a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The revision in the header.
    pub(super) revision: Option<i64>,
    /// The whole answer, or code and text of the error.
    pub(super) result: Result<String, String>,
}

/// Per watch (-1: none in particular) all that was reported, in order.
pub(super) type Reported = BTreeMap<i64, Vec<String>>;

/// A connection whose calls are somebody's.
type Authed = InterceptedService<Channel, Token>;

/// The key by which the harness knows that what was written before it was reported; no call of the traffic has it.
const FENCE: &[u8] = b"~fence";
/// The watch of it, and one that is opened and ended; with numbers that are never given to others.
const FENCES_WATCH: i64 = 1000;
const FENCE_WATCH: i64 = 1001;
/// Writes of it at once: so many that no watch of the traffic starts after them.
const FENCES: usize = 3;

/// A server.
pub(super) struct Side {
    address: String,
    is_ours: bool,
    pub(super) kv: KvClient<Authed>,
    lease: LeaseClient<Authed>,
    pub(super) maintenance: MaintenanceClient<Authed>,
    pub(super) cluster: ClusterClient<Authed>,
    pub(super) names: Names,
    pub(super) lock: LockClient<Authed>,
    pub(super) election: ElectionClient<Authed>,
    health: HealthClient<Authed>,
    pub(super) auth: AuthClient<Authed>,
    pub(super) token: Token,
    requests: mpsc::UnboundedSender<pb::WatchRequest>,
    responses: Streaming<pb::WatchResponse>,
    reported: Reported,
}

pub(super) fn answer<T: Debug>(
    result: Result<Response<T>, Status>,
    equal: impl FnOnce(&mut T) -> Option<i64>,
) -> Answer {
    match result {
        Ok(response) => {
            let mut message = response.into_inner();
            let revision = equal(&mut message);
            Answer { revision, result: Ok(format!("{message:?}")) }
        }
        Err(status) => {
            Answer { revision: None, result: Err(format!("{:?}: {}", status.code(), status.message())) }
        }
    }
}

/// Who answers differs, but both have to say whether they say it.
pub(super) fn header(header: &mut Option<pb::ResponseHeader>) -> Option<i64> {
    let header = header.as_mut()?;
    header.cluster_id = header.cluster_id.min(1);
    header.member_id = header.member_id.min(1);
    header.raft_term = header.raft_term.min(1);
    Some(header.revision)
}

/// Time passes differently, and etcd lists keys and leases in no order.
fn time_to_live(message: &mut pb::LeaseTimeToLiveResponse) -> Option<i64> {
    if (0..30).contains(&(message.granted_ttl - message.ttl)) {
        message.ttl = message.granted_ttl;
    }
    message.keys.sort();
    header(&mut message.header)
}

/// Releases, sizes and the log's length are everybody's own.
fn status(message: &mut pb::StatusResponse) -> Option<i64> {
    let pb::StatusResponse { errors, is_learner, header: head, .. } = std::mem::take(message);
    *message = pb::StatusResponse { errors, is_learner, header: head, ..Default::default() };
    header(&mut message.header)
}

fn leases(message: &mut pb::LeaseLeasesResponse) -> Option<i64> {
    message.leases.sort_by_key(|lease| lease.id);
    header(&mut message.header)
}

impl Side {
    /// A client of etcd.
    pub(super) async fn of_etcd(endpoint: &str) -> Self {
        Self::connect(endpoint, false).await
    }

    /// A client of this crate's server.
    pub(super) async fn ours(endpoint: &str) -> Self {
        Self::connect(endpoint, true).await
    }

    async fn connect(endpoint: &str, is_ours: bool) -> Self {
        let channel = Channel::from_shared(endpoint.to_owned()).unwrap().connect().await.unwrap();
        let (requests, receiver) = mpsc::unbounded_channel();
        // The stream is confirmed with its first response, so there has to be a first request.
        let fence =
            pb::WatchCreateRequest { key: FENCE.into(), watch_id: FENCES_WATCH, ..Default::default() };
        let union = RequestUnion::CreateRequest(fence);
        requests.send(pb::WatchRequest { request_union: Some(union) }).unwrap();
        let mut watches = WatchClient::new(channel.clone());
        let responses = watches.watch(UnboundedReceiverStream::new(receiver)).await.unwrap().into_inner();
        let token = Token::default();
        let authed = InterceptedService::new(channel, token.clone());
        let mut cluster = ClusterClient::new(authed.clone());
        let members = cluster.member_list(pb::MemberListRequest::default()).await.unwrap();
        let mut side = Self {
            address: endpoint.trim_start_matches("http://").to_owned(),
            is_ours,
            kv: KvClient::new(authed.clone()),
            maintenance: MaintenanceClient::new(authed.clone()),
            cluster,
            names: Names::of(members.into_inner()),
            lock: LockClient::new(authed.clone()),
            election: ElectionClient::new(authed.clone()),
            health: HealthClient::new(authed.clone()),
            auth: AuthClient::new(authed.clone()),
            lease: LeaseClient::new(authed),
            token,
            requests,
            responses,
            reported: Reported::new(),
        };
        side.read().await;
        side.reported.clear();
        side
    }

    pub(super) async fn call(&mut self, call: Call) -> Answer {
        match call {
            Call::Range(request) => answer(self.kv.range(request).await, |m| header(&mut m.header)),
            Call::Put(request) => answer(self.kv.put(request).await, |m| header(&mut m.header)),
            Call::Delete(request) => answer(self.kv.delete_range(request).await, |m| header(&mut m.header)),
            Call::Txn(request) => answer(self.kv.txn(request).await, |m| header(&mut m.header)),
            Call::Compact(request) => answer(self.kv.compact(request).await, |m| header(&mut m.header)),
            Call::Grant(request) => answer(self.lease.lease_grant(request).await, |m| header(&mut m.header)),
            Call::Revoke(request) => {
                answer(self.lease.lease_revoke(request).await, |m| header(&mut m.header))
            }
            Call::KeepAlive(id) => answer(self.keep_alive(id).await, |m| header(&mut m.header)),
            Call::TimeToLive(request) => answer(self.lease.lease_time_to_live(request).await, time_to_live),
            Call::Leases => answer(self.lease.lease_leases(pb::LeaseLeasesRequest {}).await, leases),
            Call::Membership(call) => self.membership(call).await,
            Call::Queue(queue) => self.queue(queue).await,
            Call::Health(service) => {
                let request = HealthCheckRequest { service: service.into() };
                answer(self.health.check(request).await, |_| None)
            }
            Call::Hash => self.hash_all().await,
            Call::Status => answer(self.maintenance.status(pb::StatusRequest {}).await, status),
            Call::Alarm(request) => {
                // There is no header in 3.4's answer, nor in that to a defragmentation.
                answer(self.maintenance.alarm(request).await, |m| {
                    m.header = None;
                    None
                })
            }
            Call::Defragment => answer(self.maintenance.defragment(pb::DefragmentRequest {}).await, |m| {
                m.header = None;
                None
            }),
            Call::Account(account) => self.account(account).await,
            Call::CreateWatch(create) => {
                self.request(RequestUnion::CreateRequest(create));
                self.read_until(|response| response.created).await
            }
            Call::CancelWatch(watch_id) => {
                self.request(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id }));
                // A watch that does not exist is cancelled without a word.
                self.fence().await
            }
        }
    }

    async fn keep_alive(&mut self, id: i64) -> Result<Response<pb::LeaseKeepAliveResponse>, Status> {
        let requests = stream::iter([pb::LeaseKeepAliveRequest { id }]).chain(stream::pending());
        let mut responses = self.lease.lease_keep_alive(requests).await?.into_inner();
        Ok(Response::new(responses.message().await?.unwrap_or_default()))
    }

    /// The hash of everything up to a revision, 0 for now, with the revision where history starts.
    pub(super) async fn hash(&mut self, revision: i64) -> Answer {
        let hashed = self.maintenance.hash_kv(pb::HashKvRequest { revision }).await;
        answer(hashed, |m| {
            // Only newer etcds say which revision they have hashed.
            m.hash_revision = 0;
            header(&mut m.header)
        })
    }

    fn request(&mut self, union: RequestUnion) {
        self.requests.send(pb::WatchRequest { request_union: Some(union) }).unwrap();
    }

    /// Reads one response.
    async fn read(&mut self) -> pb::WatchResponse {
        let mut response = self.responses.message().await.unwrap().expect("the stream goes on");
        if [FENCES_WATCH, FENCE_WATCH].contains(&response.watch_id) {
            return response;
        }
        // In which place of those of its revision a watch is told is open, so for the others there are no fences.
        response.events.retain(|event| event.kv.as_ref().is_none_or(|kv| kv.key != FENCE));
        if response.events.is_empty() && !response.created && !response.canceled {
            return response;
        }
        let items = self.reported.entry(response.watch_id).or_default();
        // How events are grouped is a matter of timing in etcd, and with it the revision that is told beside them.
        items.extend(response.events.drain(..).map(|event| format!("{event:?}")));
        if response.created || response.canceled {
            header(&mut response.header);
            items.push(format!("{response:?}"));
        }
        response
    }

    async fn read_until(&mut self, wanted: impl Fn(&pb::WatchResponse) -> bool) -> Answer {
        /// Nothing takes that long, and a test should say what it waits for.
        const FOREVER: Duration = Duration::from_secs(60);
        loop {
            let read = tokio::time::timeout(FOREVER, self.read()).await;
            let response = read.unwrap_or_else(|_| {
                panic!("{} (ours: {}) says no more; told: {:?}", self.address, self.is_ours, self.reported)
            });
            if wanted(&response) {
                return Answer { revision: None, result: Ok(format!("{response:?}")) };
            }
        }
    }

    /// Opens and ends a watch, and reads up to its end. Requests are done and answered in turn, so those before it are then.
    async fn fence(&mut self) -> Answer {
        let watch_id = FENCE_WATCH;
        let create = pb::WatchCreateRequest { key: FENCE.into(), watch_id, ..Default::default() };
        self.request(RequestUnion::CreateRequest(create));
        self.request(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id }));
        self.read_until(|response| response.watch_id == watch_id && response.canceled).await;
        Answer { revision: None, result: Ok(String::new()) }
    }

    /// Everything reported since the last time; and the revision that writing fences has led to.
    ///
    /// A watch that does not lag is told of revisions in turn, after all others were of those before: so when a fence that was
    /// written after none lagged is reported, so is everything before. This crate's server reads for one watch faster than for
    /// another, and answers a request for progress once all have reported everything; etcd promises nothing of that.
    pub(super) async fn reported(&mut self) -> (Reported, i64) {
        self.write_fences().await;
        self.settle().await;
        let revision = self.write_fences().await;
        if self.is_ours {
            self.request(RequestUnion::ProgressRequest(pb::WatchProgressRequest {}));
            self.read_until(|response| response.watch_id == -1 && !response.canceled).await;
        }
        (std::mem::take(&mut self.reported), revision)
    }

    /// Writes fences and reads up to the last.
    async fn write_fences(&mut self) -> i64 {
        let mut revision = 0;
        for _ in 0..FENCES {
            let put = pb::PutRequest { key: FENCE.into(), ..Default::default() };
            revision = self.kv.put(put).await.unwrap().into_inner().header.unwrap().revision;
        }
        let is_last = |event: &pb::Event| event.kv.as_ref().is_some_and(|kv| kv.mod_revision == revision);
        self.read_until(|response| response.watch_id == FENCES_WATCH && response.events.iter().any(is_last))
            .await;
        revision
    }

    /// Waits until no watch lags, reading meanwhile, since a watch lags too when nobody reads. etcd looks at those that
    /// started in the past ten times a second, and a compaction cuts those that it did not come to.
    pub(super) async fn settle(&mut self) {
        const LAGGING: &str = "etcd_debugging_mvcc_slow_watcher_total ";
        loop {
            let (_, metrics) = crate::front::get(&self.address, "/metrics").await;
            match metrics.lines().find_map(|line| line.strip_prefix(LAGGING)) {
                None | Some("0") => return,
                Some(_) => {
                    let _ = tokio::time::timeout(Duration::from_millis(10), self.read()).await;
                }
            }
        }
    }
}
