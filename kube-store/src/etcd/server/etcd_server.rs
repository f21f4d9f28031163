//! The server: what all its services share, and how it is served.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch as watched;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::alarm::Alarms;
use super::auth::{Auth, AuthConfig, Caller, JsonWebTokens};
use super::certified::Certified;
use super::group::Group;
use super::health::Health;
use super::listen::{self, Keepalive, Listener, Terms};
use super::metrics::Metrics;
use super::{convert, front, plain, rpc, watch};
use crate::engine::DiskMetrics;
use crate::etcd::r#gen::{etcdserverpb as pb, v3electionpb, v3lockpb};
use crate::{Revision, Store, StoreStatus};

/// The release whose API this is; clients look at it to know what they may use.
pub(super) const VERSION: &str = "3.5.21";

/// What a message may have more than a request, as etcd has it.
const OVERHEAD: usize = 512 << 10;

/// What the cluster's list of members says of this server.
#[derive(Debug, Clone, Default)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where clients reach it, as `http://127.0.0.1:2379`.
    pub client_urls: Vec<String>,
    /// Where other members would reach it, as `http://127.0.0.1:2380`.
    pub peer_urls: Vec<String>,
}

/// What a server needs to know beside its store.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// This server. Default: without name and addresses.
    pub member: Member,
    /// Most operations in a list of a transaction, those inside included. Default 128, as etcd and as the store's own limit.
    pub max_txn_ops: usize,
    /// Largest request that the store takes, in bytes. A message that is half a MiB larger is refused before it is read; what
    /// lies between hears the store's error. Default 1.5 MiB, as etcd and as the store's own limit.
    pub max_request_bytes: usize,
    /// What the store's quota is, in bytes, to be told by `status`; the store enforces its own. Default 8 GiB.
    pub quota_bytes: u64,
    /// How often a password is hashed, as a power of two, from 4 to 31. Default 10, as etcd.
    pub bcrypt_cost: u32,
    /// How long a token lives after its last use. Default 5 minutes, as etcd.
    pub token_ttl: Duration,
    /// Tokens that are JSON Web Tokens, instead of this crate's own. All members need the same keys. Default none.
    pub json_web_tokens: Option<Arc<JsonWebTokens>>,
    /// Whether a request without a token comes from the user that its connection's certificate names: only where clients must
    /// have a certificate. Default false.
    pub client_cert_auth: bool,
    /// Writes that take longer are counted as slow. Default 100 ms, as etcd.
    pub slow: Duration,
    /// Whether `/metrics` tells how long calls take, by method. Default false, as etcd.
    pub extensive_metrics: bool,
    /// Whether the methods are served as JSON too, under `/v3/`. Default true, as etcd.
    pub json_gateway: bool,
    /// What the store's engine does, for `/metrics`. Default none.
    pub disk: Option<Arc<DiskMetrics>>,
    /// What goes to other members and comes from them, for `/metrics`. Default none.
    #[cfg(feature = "raft")]
    pub peers: Option<Arc<crate::raft::PeerMetrics>>,
    /// When connections are probed on which nothing comes. Default as etcd; `None` for never.
    pub keepalive: Option<Keepalive>,
    /// The time that members share, for tokens, which all of them honour. Default: the machine's.
    pub clock: fn() -> SystemTime,
}

#[expect(clippy::disallowed_methods, reason = "the clock that is handed in when nobody hands in another")]
fn machine_clock() -> SystemTime {
    SystemTime::now()
}

impl ServerConfig {
    /// Largest message taken, and largest part of a response in fragments.
    pub(super) fn largest_message(&self) -> usize {
        self.max_request_bytes.saturating_add(OVERHEAD)
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            member: Member::default(),
            max_txn_ops: 128,
            max_request_bytes: 3 << 19,
            quota_bytes: 8 << 30,
            bcrypt_cost: 10,
            token_ttl: Duration::from_secs(300),
            json_web_tokens: None,
            client_cert_auth: false,
            slow: Duration::from_millis(100),
            extensive_metrics: false,
            json_gateway: true,
            disk: None,
            #[cfg(feature = "raft")]
            peers: None,
            keepalive: Some(Keepalive::default()),
            clock: machine_clock,
        }
    }
}

/// Serves the etcd v3 gRPC API on any store, for one member, or (feature `raft`) for each member of a group: keys, watches, leases, members, maintenance, users and roles,
/// locks, elections and the health of gRPC,
/// and over HTTP on the same port `/health`, `/livez`, `/readyz`, `/metrics` and `/version`, and as etcd's JSON gateway all
/// methods under `/v3/`: `curl http://127.0.0.1:2379/v3/kv/range -d '{"key":"Zm9v"}'`.
///
/// # Where it differs from etcd 3.4
/// A test sends the same random traffic to both, and to 3.5 if that is the one installed, and finds no other difference. Requests:
/// - A transaction that puts a key, and deletes it by a set without an end or in a later inner transaction beside the one
///   that puts it, is refused as a duplicate, as etcd's documentation has it; etcd does it.
/// - A range that sorts by something else than the key, has a limit and names no order is sorted before it is cut; etcd cuts
///   first, so its answer is not the first keys of that order. Equals keep the order of their keys; etcd gives them in any.
/// - Transactions nest 16 deep.
/// - A negative start revision of a watch means the next one.
/// - That a transaction changes a key twice is seen last, after alarms and what its user may.
/// - While something is corrupt, reads are refused too; etcd goes on with them.
/// - What a user may do with one key, he may with a set that ends before that; etcd allows some of these and not others.
/// - A permission that is granted again for the same keys is changed; etcd may keep both where another set begins with the
///   same key.
/// - A permission for no keys, as for a set that ends where it begins, is granted, as in 3.4; 3.5 refuses it.
/// - A request that is too large is refused by the sum of its keys and values; etcd counts its encoded form.
///
/// Answers:
/// - A lease's keys are listed in order; etcd has none.
/// - When another member begins to lead, a lease has what was left of it, or five minutes, or what it was granted if that is less, as in
///   etcd with checkpoints; etcd without them renews all.
/// - When a watch catches up, a response has up to a thousand revisions, as etcd's, but no more than some 16 MiB unless one revision
///   has more. Its header tells the newest revision of its events, up to which the watch has reported everything; etcd tells
///   its current one. Watches that do not lag get each revision by itself.
/// - A request for progress is answered once all watches of the stream have reported everything, as in
///   etcd 3.5; 3.4 answers at once. A watch from a revision that lies ahead reports no progress until then, as in etcd 3.6.
/// - `hashKV` of a revision that is compacted is refused, as in 3.4; 3.5 still knows the numbers of some.
/// - The answer of `alarm` has a header, as in 3.5; 3.4's has none.
/// - `hashKV` is etcd's own number. (On a store that does not know which change of its transaction wrote a key, as one that
///   is itself in an etcd, that is made up for keys that were not changed since the last compaction.) `hash` cannot be: etcd
///   hashes its whole database with it, in which the members' random numbers and addresses are. Ours covers keys and history.
/// - The errors of locks and elections have the codes of what was refused; in etcd they are all `Unknown`.
/// - `AuthStatus` is answered, as in 3.5. The revision of users in it also counts that they were enabled, and does not count a
///   change that left everything as it was: it is what keeps changes by different members apart.
/// - A user without a password gets none by a change of it, as in 3.5; 3.4 keeps it, though it is of no use.
/// - Who asks for a user without a name is told that, as in 3.4; 3.5 finds none of that name.
/// - That a member is not removed since too few would be left is `FailedPrecondition`, as in 3.4; `Unknown` in 3.5.
/// - Addresses of members that are none, as those without a port, are refused; etcd takes any when a member is
///   updated, and stops when it cannot use them.
/// - A learner whose addresses are changed stays one; etcd forgets that it is.
/// - A snapshot names no members: who restores it names the new ones. It holds the key with which tokens are signed, and not the
///   deletions of the very revision at which history starts, as in 3.4; those of 3.5.30 hold them.
/// - Outside of a group, the member and the cluster are both 1, the term is always 1, and the index of the log is the
///   revision; members cannot be added or removed.
/// - In a group, a member creates a watch without a start revision once it has caught up with the leader. What a change of users,
///   roles or alarms means is known to another member a moment later.
/// - Tokens are signed, so that every member honours them; one that is used at one member lives longer at that. JSON Web Tokens are
///   as etcd's, but that ES512 and RSA keys under 2048 bits are not taken, EdDSA is, as in 3.6, and one of a later revision may read.
/// - The quota counts what is in use and not the size, so deleting and compacting makes room, once the alarm is disarmed, without a
///   defragmentation. `dbSize` can be more than the quota, since it also counts what is to be freed and the log of a group: who
///   watches how much of the quota is left looks at `dbSizeInUse`, which never exceeds it by more than the records of users.
/// - `status` tells the release 3.5.21, and sizes of the store's own engine.
///
/// # Metrics
/// `/metrics` has etcd's names, types and labels. A test compares them with etcd's, and lists what is missing and why: what is
/// about bbolt, the API v2, snapshot files, the gRPC proxy, Go or how compaction is cut into steps. Those that mean something
/// else here: a commit is a sync, so `etcd_disk_wal_fsync_duration_seconds` and `etcd_disk_backend_commit_duration_seconds` are
/// the same; bytes of clients are those of their connections, inside of TLS. An outcome that never was has no line. Those of the
/// disk and of other members need `ServerConfig::disk` and `ServerConfig::peers`.
///
/// The database's size is what it takes on the disk, without the space that is set aside for what is to come; what is in use is
/// what is kept, with the memory that its bookkeeping takes. Between the two lies what the engine frees when more than half of
/// the log is not needed, and `defragment` at once, while everything else goes on. The quota is that of the member that is asked,
/// so one with less than the others raises its alarm when it is asked itself.
///
/// # JSON
/// Under `/v3/` everything is as with etcd 3.5's gateway; a test compares the bytes with etcd's. Differences: words about JSON that makes
/// no sense are ours; a list that comes twice is taken twice, where etcd takes the second; there are no WebSockets, no headers
/// for scripts of other sites, and no trailers. A request may take twice as many bytes as it may over gRPC.
/// The name in a client's certificate is nobody there, as in etcd, which like this server refuses a client that has one once users are
/// enabled.
///
/// # Users
/// With users enabled, more is denied than in 3.4: compaction and all of maintenance but `status` need root, leases and
/// `status` a user, so does a transaction of nothing, what a transaction's put tells of the value before and its lease what they need by
/// themselves, a lease's time to live with its keys the right to read them, and every
/// list of every inner transaction is looked at. Who logs in as a user without a password is told the same as with a wrong one.
#[derive(Debug, Clone)]
pub struct EtcdServer {
    pub(super) store: Arc<dyn Store>,
    pub(super) group: Group,
    pub(super) config: Arc<ServerConfig>,
    pub(super) auth: Arc<Auth>,
    pub(super) alarms: Arc<Alarms>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) feeds: Arc<watch::Feeds>,
    /// Who is at the other end of the connection that this copy serves.
    certified: Certified,
    /// Ends what would never end by itself.
    pub(super) shutdown: CancellationToken,
}

pub(super) type Answer<T> = Result<Response<T>, Status>;

impl EtcdServer {
    /// The release of etcd whose API this is, as clients are told.
    pub const RELEASE: &str = VERSION;

    /// A server of `store` with the default limits.
    pub fn new(store: Arc<dyn Store>, member: Member) -> Self {
        Self::with_config(store, ServerConfig { member, ..ServerConfig::default() })
    }

    /// A server of `store`.
    pub fn with_config(store: Arc<dyn Store>, config: ServerConfig) -> Self {
        let member = Arc::new(config.member.clone());
        Self::in_group(store, Group::Alone(member), config)
    }

    /// A server of a member of a group; the group knows its members, so what `config` says of this one is not looked at.
    #[cfg(feature = "raft")]
    pub fn of_group(store: Arc<crate::raft::RaftStore>, config: ServerConfig) -> Self {
        Self::in_group(store.clone(), Group::Raft(store), config)
    }

    fn in_group(store: Arc<dyn Store>, group: Group, config: ServerConfig) -> Self {
        let member = group.stamp().member;
        let metrics = Arc::new(Metrics::new(config.extensive_metrics));
        group.count_leaders(&metrics);
        let auth = AuthConfig {
            bcrypt_cost: config.bcrypt_cost,
            token_ttl: config.token_ttl,
            jwt: config.json_web_tokens.clone(),
            trusts_certificates: config.client_cert_auth,
            clock: config.clock,
        };
        Self {
            group,
            auth: Arc::new(Auth::new(store.clone(), auth)),
            alarms: Arc::new(Alarms::new(store.clone(), member)),
            metrics,
            feeds: Arc::default(),
            certified: Certified::default(),
            shutdown: CancellationToken::new(),
            config: Arc::new(config),
            store,
        }
    }

    /// Its gRPC services, to be served together with others.
    pub fn routes(&self) -> Routes {
        use pb::auth_server::AuthServer;
        use pb::cluster_server::ClusterServer;
        use pb::kv_server::KvServer;
        use pb::lease_server::LeaseServer;
        use pb::maintenance_server::MaintenanceServer;
        use pb::watch_server::WatchServer;
        use tonic_health::pb::health_server::HealthServer;
        use v3electionpb::election_server::ElectionServer;
        use v3lockpb::lock_server::LockServer;
        let largest = self.config.largest_message();
        macro_rules! service {
            ($service:ident) => {
                $service::new(self.clone()).max_decoding_message_size(largest)
            };
        }
        Routes::new(service!(KvServer))
            .add_service(service!(WatchServer))
            .add_service(service!(LeaseServer))
            .add_service(service!(ClusterServer))
            .add_service(service!(MaintenanceServer))
            .add_service(service!(AuthServer))
            .add_service(service!(LockServer))
            .add_service(service!(ElectionServer))
            .add_service(HealthServer::new(Health { shutdown: self.shutdown.clone() }))
    }

    /// Serves on `listener` until `shutdown`; then watches are ended and calls that run are finished.
    pub async fn serve(self, listener: impl Into<Listener>, shutdown: CancellationToken) -> io::Result<()> {
        self.serve_on(listener.into(), None, shutdown).await
    }

    /// The same over TLS. Each connection takes the configuration of the moment, so certificates can be replaced; it has to
    /// offer the protocols `h2` and `http/1.1`, and decides which clients are let in.
    pub async fn serve_tls(
        self,
        listener: impl Into<Listener>,
        tls: watched::Receiver<Arc<rustls::ServerConfig>>,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        self.serve_on(listener.into(), Some(tls), shutdown).await
    }

    /// Serves only `/health`, `/livez`, `/readyz`, `/metrics` and `/version`, for probes and for Prometheus, until `shutdown`.
    pub async fn serve_pages(
        self,
        listener: impl Into<Listener>,
        tls: Option<watched::Receiver<Arc<rustls::ServerConfig>>>,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let connections = listen::connections(listener.into(), self.terms(tls), shutdown.clone());
        let (front, stop) = (front::Front::of_pages(self), shutdown.clone());
        listen::serve_each(connections, shutdown, |connection| {
            plain::serve(connection, front.clone(), stop.clone())
        })
        .await;
        Ok(())
    }

    fn terms(&self, tls: Option<watched::Receiver<Arc<rustls::ServerConfig>>>) -> Terms {
        Terms { tls, keepalive: self.config.keepalive, traffic: self.metrics.traffic.clone() }
    }

    async fn serve_on(
        mut self,
        listener: Listener,
        tls: Option<watched::Receiver<Arc<rustls::ServerConfig>>>,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        self.shutdown = shutdown.clone();
        let front = front::Front::new(self.clone());
        let connections = listen::connections(listener, self.terms(tls), shutdown.clone());
        listen::serve_each(connections, shutdown, |connection| {
            self.clone().serve_one(connection, front.clone())
        })
        .await;
        Ok(())
    }

    async fn serve_one(mut self, mut connection: listen::Connection, front: front::Front) {
        let shutdown = self.shutdown.clone();
        match shutdown.run_until_cancelled(connection.speaks_http2()).await {
            Some(Ok(true)) => {
                self.certified = connection.certified().clone();
                let front = front.of_client(&self.certified);
                rpc::serve(connection, self, front, shutdown).await;
            }
            Some(Ok(false)) => plain::serve(connection, front, shutdown).await,
            Some(Err(_)) | None => {}
        }
    }

    pub(super) async fn state(&self) -> Result<StoreStatus, Status> {
        self.store.status().await.map_err(convert::status)
    }

    /// Bytes on disk, and never less than those in use.
    pub(super) fn size(&self, status: &StoreStatus) -> u64 {
        status.bytes_on_disk.max(status.bytes)
    }

    pub(super) async fn revision(&self) -> Result<Revision, Status> {
        Ok(self.state().await?.revision)
    }

    /// The header of an answer that has no revision of its own.
    pub(super) async fn header(&self) -> Result<Option<pb::ResponseHeader>, Status> {
        Ok(self.group.stamp().header(self.revision().await?))
    }

    pub(super) async fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        self.auth.caller(request.metadata(), self.certified(request)).await
    }

    /// Whom the certificate of a request's connection names.
    pub(super) fn certified<'a, T>(&'a self, request: &'a Request<T>) -> &'a Certified {
        request.extensions().get().unwrap_or(&self.certified)
    }

    /// The request, if root sent it or nobody asks who did.
    pub(super) async fn administrator<T>(&self, request: Request<T>) -> Result<T, Status> {
        self.caller(&request).await?.require_root()?;
        Ok(request.into_inner())
    }
}

pub(super) fn mismatch() -> Status {
    Status::internal("the store answered another operation than was asked")
}

/// For who would rather hear that there is no leader than wait for one.
pub(super) fn no_leader() -> Status {
    Status::unavailable("etcdserver: no leader")
}

/// For who asks a learner for more than it answers.
pub(super) fn not_for_learners() -> Status {
    Status::unavailable("etcdserver: rpc not supported for learner")
}
