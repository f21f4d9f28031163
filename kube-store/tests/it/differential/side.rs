//! One of the two servers, and its answers with all that may differ made equal.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

use super::traffic::Call;
use crate::wire::etcdserverpb as pb;
use pb::kv_client::KvClient;
use pb::lease_client::LeaseClient;
use pb::maintenance_client::MaintenanceClient;
use pb::watch_client::WatchClient;
use pb::watch_request::RequestUnion;

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

/// A server.
pub(super) struct Side {
    address: String,
    kv: KvClient<Channel>,
    lease: LeaseClient<Channel>,
    maintenance: MaintenanceClient<Channel>,
    requests: mpsc::UnboundedSender<pb::WatchRequest>,
    responses: Streaming<pb::WatchResponse>,
    reported: Reported,
}

fn answer<T: Debug>(
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
fn header(header: &mut Option<pb::ResponseHeader>) -> Option<i64> {
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

fn leases(message: &mut pb::LeaseLeasesResponse) -> Option<i64> {
    message.leases.sort_by_key(|lease| lease.id);
    header(&mut message.header)
}

impl Side {
    pub(super) async fn connect(endpoint: &str) -> Self {
        let channel = Channel::from_shared(endpoint.to_owned()).unwrap().connect().await.unwrap();
        let (requests, receiver) = mpsc::unbounded_channel();
        // The stream is confirmed with its first response, so there has to be a first request.
        let union = RequestUnion::ProgressRequest(pb::WatchProgressRequest {});
        requests.send(pb::WatchRequest { request_union: Some(union) }).unwrap();
        let mut watches = WatchClient::new(channel.clone());
        let responses = watches.watch(UnboundedReceiverStream::new(receiver)).await.unwrap().into_inner();
        let mut side = Self {
            address: endpoint.trim_start_matches("http://").to_owned(),
            kv: KvClient::new(channel.clone()),
            maintenance: MaintenanceClient::new(channel.clone()),
            lease: LeaseClient::new(channel),
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
        let items = self.reported.entry(response.watch_id).or_default();
        // How events are grouped is a matter of timing in etcd, and with it the revision that is told beside them.
        items.extend(response.events.drain(..).map(|event| format!("{event:?}")));
        if response.created || response.canceled || response.watch_id == -1 {
            header(&mut response.header);
            items.push(format!("{response:?}"));
        }
        response
    }

    async fn read_until(&mut self, wanted: impl Fn(&pb::WatchResponse) -> bool) -> Answer {
        loop {
            let response = self.read().await;
            if wanted(&response) {
                return Answer { revision: None, result: Ok(format!("{response:?}")) };
            }
        }
    }

    /// Asks for progress and reads up to the answer. Requests are done in turn, so those before it are done then.
    async fn fence(&mut self) -> Answer {
        self.request(RequestUnion::ProgressRequest(pb::WatchProgressRequest {}));
        self.read_until(|response| response.watch_id == -1 && !response.canceled).await
    }

    /// Everything reported since the last time. This crate's server answers a request for progress once all watches have
    /// reported everything.
    pub(super) async fn reported(&mut self) -> Reported {
        self.fence().await;
        std::mem::take(&mut self.reported)
    }

    /// Waits until no watch lags. etcd looks at those that started in the past ten times a second, and a compaction cuts
    /// those that it did not come to.
    pub(super) async fn settle(&self) {
        const LAGGING: &str = "etcd_debugging_mvcc_slow_watcher_total ";
        loop {
            let (_, metrics) = crate::front::get(&self.address, "/metrics").await;
            match metrics.lines().find_map(|line| line.strip_prefix(LAGGING)) {
                None | Some("0") => return,
                Some(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// Everything reported since the last time, at least as much as the other reported. etcd answers a request for progress
    /// at once, so there is no other way to know.
    pub(super) async fn reported_like(&mut self, other: &Reported) -> Reported {
        self.fence().await;
        let enough = |reported: &Reported| {
            other.iter().all(|(id, items)| reported.get(id).map_or(0, Vec::len) >= items.len())
        };
        while !enough(&self.reported) {
            let read = tokio::time::timeout(Duration::from_secs(10), self.read()).await;
            if read.is_err() {
                break;
            }
        }
        std::mem::take(&mut self.reported)
    }
}
