//! The service of maintenance: how the server is, hashes, snapshots, alarms.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, async_trait};

use super::etcd_server::{Answer, EtcdServer, VERSION};
use super::group::Stamp;
use super::history::{self, History};
use super::metrics::Counted;
use super::{checksum, convert};
use crate::etcd::r#gen::etcdserverpb as pb;
use crate::{Error, Revision};
use pb::downgrade_request::DowngradeAction;

/// Bytes of a snapshot in one response.
const CHUNK: usize = 32 << 10;

/// Responses of a snapshot that wait for the client.
const QUEUE: usize = 8;

type Chunk = Result<pb::SnapshotResponse, Status>;

impl EtcdServer {
    /// What is kept up to `revision`, or now.
    async fn history(&self, revision: Option<Revision>) -> Result<History, Status> {
        History::read(&*self.store, revision).await.map_err(convert::status)
    }

    async fn check_hash_revision(&self, revision: Revision) -> Result<Option<Revision>, Status> {
        let status = self.state().await?;
        match revision {
            ..=0 => Ok(None),
            _ if revision <= status.compacted => {
                Err(convert::status(Error::Compacted { compacted: status.compacted }))
            }
            _ if revision > status.revision => {
                let current = status.revision;
                Err(convert::status(Error::FutureRevision { requested: revision, current }))
            }
            _ => Ok(Some(revision)),
        }
    }
}

/// Writes a database into a file without a name, and sends it, its checksum last.
fn send_snapshot(
    stamp: Stamp,
    history: &History,
    leases: &[pb::LeaseRecord],
    records: &std::collections::BTreeMap<Bytes, Bytes>,
    sender: &mpsc::Sender<Chunk>,
) -> io::Result<()> {
    let out = io::BufWriter::with_capacity(1 << 18, tempfile::tempfile()?);
    let mut file: File = history.write(out, leases, records)?.into_inner().map_err(io::Error::from)?;
    let mut left = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let header = stamp.header(history.revision);
    let send = |blob: Bytes, remaining_bytes| {
        let response = pb::SnapshotResponse { header, remaining_bytes, blob, version: VERSION.into() };
        // A client that went away wants no more.
        sender.blocking_send(Ok(response)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    };
    let mut hash = Sha256::new();
    while left > 0 {
        let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
        file.read_exact(&mut chunk)?;
        hash.update(&chunk);
        left -= chunk.len() as u64;
        send(chunk.into(), left)?;
    }
    send(hash.finalize().to_vec().into(), 0)
}

#[async_trait]
impl pb::maintenance_server::Maintenance for EtcdServer {
    async fn alarm(&self, request: Request<pb::AlarmRequest>) -> Answer<pb::AlarmResponse> {
        use pb::alarm_request::AlarmAction;
        let request = self.administrator(request).await?;
        let kind = request.alarm();
        let member = pb::AlarmMember { member_id: request.member_id, alarm: kind.into() };
        let alarms = match request.action() {
            AlarmAction::Get => self.alarms.list(kind).await?,
            AlarmAction::Activate if kind == pb::AlarmType::None => Vec::new(),
            AlarmAction::Activate => {
                self.alarms.raise(member).await?;
                vec![member]
            }
            AlarmAction::Deactivate if self.alarms.end(member).await? => vec![member],
            AlarmAction::Deactivate => Vec::new(),
        };
        Ok(Response::new(pb::AlarmResponse { header: self.header().await?, alarms }))
    }

    async fn status(&self, request: Request<pb::StatusRequest>) -> Answer<pb::StatusResponse> {
        self.caller(&request).await?.require_user()?;
        let status = self.state().await?;
        let bytes = |n| i64::try_from(n).unwrap_or(i64::MAX);
        let view = self.group.view(status.revision);
        let alarms = self.alarms.list(pb::AlarmType::None).await?;
        let alarms = alarms.iter().map(|alarm| {
            let of =
                if alarm.member_id == 0 { String::new() } else { format!("memberID:{} ", alarm.member_id) };
            format!("{of}alarm:{} ", alarm.alarm().as_str_name())
        });
        let no_leader = (view.leader == 0).then(|| "etcdserver: no leader".to_owned());
        Ok(Response::new(pb::StatusResponse {
            header: self.group.stamp().header(status.revision),
            version: VERSION.into(),
            db_size: bytes(self.size(&status)),
            db_size_in_use: bytes(status.bytes),
            db_size_quota: bytes(self.config.quota_bytes),
            leader: view.leader,
            raft_index: view.committed,
            raft_applied_index: view.applied,
            raft_term: view.term,
            errors: status.failure.iter().map(ToString::to_string).chain(no_leader).chain(alarms).collect(),
            is_learner: view.is_learner,
            ..Default::default()
        }))
    }

    async fn defragment(&self, request: Request<pb::DefragmentRequest>) -> Answer<pb::DefragmentResponse> {
        self.administrator(request).await?;
        let (begun, _under_way) = (Instant::now(), Counted::in_gauge(&self.metrics.defragmenting));
        self.store.defragment().await.map_err(convert::status)?;
        self.metrics.defragmentations.note(begun.elapsed());
        // etcd's answer has no header, which clients test.
        Ok(Response::new(pb::DefragmentResponse { header: None }))
    }

    async fn hash(&self, request: Request<pb::HashRequest>) -> Answer<pb::HashResponse> {
        self.administrator(request).await?;
        let begun = Instant::now();
        let history = self.history(None).await?;
        let mut hash = checksum::Crc32c::default();
        hash.update(&history.compacted.to_be_bytes());
        hash.update(&history.hash().to_be_bytes());
        let (header, hash) = (self.group.stamp().header(history.revision), hash.finish());
        self.metrics.hashes.note(begun.elapsed());
        Ok(Response::new(pb::HashResponse { header, hash }))
    }

    async fn hash_kv(&self, request: Request<pb::HashKvRequest>) -> Answer<pb::HashKvResponse> {
        let request = self.administrator(request).await?;
        let revision = self.check_hash_revision(request.revision).await?;
        let begun = Instant::now();
        let history = self.history(revision).await?;
        let hash = history.hash();
        self.metrics.revision_hashes.note(begun.elapsed());
        Ok(Response::new(pb::HashKvResponse {
            header: self.header().await?,
            hash,
            // etcd's number for a store that was never compacted.
            compact_revision: if history.compacted == 0 { -1 } else { history.compacted },
            hash_revision: history.revision,
        }))
    }

    type SnapshotStream = ReceiverStream<Chunk>;

    async fn snapshot(&self, request: Request<pb::SnapshotRequest>) -> Answer<Self::SnapshotStream> {
        self.administrator(request).await?;
        let begun = Instant::now();
        let history = self.history(None).await?;
        let leases = history::leases(&*self.store).await.map_err(convert::status)?;
        let records = self.store.records(Vec::new()).await.map_err(convert::status)?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (stamp, metrics) = (self.group.stamp(), self.metrics.clone());
        tokio::task::spawn_blocking(move || {
            let sent = send_snapshot(stamp, &history, &leases, &records, &sender);
            metrics.snapshots.note(begun.elapsed());
            if let Err(error) = sent {
                tracing::warn!(%error, "a snapshot was not sent");
                // The client may be the one that is gone.
                let _ = sender.blocking_send(Err(Status::unavailable(format!("etcdserver: {error}"))));
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn move_leader(&self, request: Request<pb::MoveLeaderRequest>) -> Answer<pb::MoveLeaderResponse> {
        let request = self.administrator(request).await?;
        self.group.move_leader(request.target_id).await?;
        // As after a defragmentation.
        Ok(Response::new(pb::MoveLeaderResponse { header: None }))
    }

    /// There is no release that this one could be made to look like.
    async fn downgrade(&self, request: Request<pb::DowngradeRequest>) -> Answer<pb::DowngradeResponse> {
        let request = self.administrator(request).await?;
        Err(match request.action() {
            DowngradeAction::Cancel => Status::failed_precondition("etcdserver: no inflight downgrade job"),
            _ => Status::invalid_argument("etcdserver: invalid downgrade target version"),
        })
    }
}
