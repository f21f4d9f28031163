//! Groups of members in one process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use kube_store::engine::{Fault, LogEngine, MemoryEngine};
use kube_store::raft::{LocalNetwork, MemberChange, MemberInfo, RaftConfig, RaftStore, ReadMode, Role};
use kube_store::{
    Error, EtcdServer, LeaseRequest, LeaseResponse, RangeRequest, RangeResponse, Result, Revision,
    ServerConfig, Store, StoreExt, StoreStatus, TxnRequest, TxnResponse, WatchRequest, WatchStream, testing,
};

/// Members that share a network, and what they left on their disks.
struct Group {
    network: LocalNetwork,
    members: Vec<RaftStore>,
    disks: Vec<MemoryEngine>,
    /// Decides elections, so that they come out the same each time.
    seed: u64,
}

impl Group {
    async fn new(size: u64) -> Self {
        Self::seeded(size, 1).await
    }

    fn empty(seed: u64) -> Self {
        Self { network: LocalNetwork::default(), members: Vec::new(), disks: Vec::new(), seed }
    }

    async fn seeded(size: u64, seed: u64) -> Self {
        let mut group = Self::empty(seed);
        for id in 1..=size {
            group.disks.push(MemoryEngine::default());
            let member = group.open(RaftConfig::member(id, size)).await;
            group.members.push(member);
        }
        group
    }

    /// Starts a member on its disk.
    async fn open(&self, mut config: RaftConfig) -> RaftStore {
        config.store.seed.get_or_insert(self.seed);
        let (id, disk) = (config.id, self.disks[config.id as usize - 1].clone());
        let member = RaftStore::open(disk, config, self.network.transport(id)).await.unwrap();
        self.network.attach(id, member.inbox());
        member
    }

    /// The member that leads according to a majority.
    async fn leader(&self) -> u64 {
        let status = self.members[0].wait_for(|status| status.leader.is_some()).await.unwrap();
        status.leader.unwrap()
    }

    fn member(&self, id: u64) -> &RaftStore {
        &self.members[id as usize - 1]
    }
}

/// A group seen as one store that asks another member each time.
#[derive(Debug)]
struct RoundRobin(Vec<RaftStore>, std::sync::atomic::AtomicUsize);

impl RoundRobin {
    async fn new() -> Self {
        Self(Group::new(3).await.members, std::sync::atomic::AtomicUsize::new(0))
    }

    fn next(&self) -> &RaftStore {
        let turn = self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        &self.0[turn % self.0.len()]
    }
}

#[async_trait]
impl Store for RoundRobin {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        self.next().range(request).await
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse> {
        self.next().txn(request).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        self.next().watch(request).await
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.next().compact(revision).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<LeaseResponse> {
        self.next().lease(request).await
    }

    async fn status(&self) -> Result<StoreStatus> {
        let store = self.next();
        store.get("any").await?;
        store.status().await
    }
}

#[tokio::test(start_paused = true)]
async fn one_member_is_a_store() {
    testing::conformance(async || Group::new(1).await.members.remove(0)).await;
}

/// Its task has not run yet when it is asked here.
#[tokio::test(start_paused = true)]
async fn a_member_knows_its_group_once_it_is_open() {
    let network = LocalNetwork::default();
    let member =
        RaftStore::open(MemoryEngine::default(), RaftConfig::member(2, 3), network.transport(2)).await;
    let status = member.unwrap().raft_status();
    let members: Vec<_> = status.members.iter().map(|member| member.id).collect();
    assert_eq!((status.id, members), (2, vec![1, 2, 3]));
}

#[tokio::test(start_paused = true)]
async fn three_members_are_one_store() {
    testing::conformance(RoundRobin::new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_on_threads_and_disks() {
    let dir = tempfile::tempdir().unwrap();
    let network = LocalNetwork::default();
    let mut members = Vec::new();
    for id in 1..=3 {
        let engine = LogEngine::open(&dir.path().join(id.to_string())).unwrap();
        let config = RaftConfig { tick: Duration::from_millis(20), ..RaftConfig::member(id, 3) };
        let member = RaftStore::open(engine, config, network.transport(id)).await.unwrap();
        network.attach(id, member.inbox());
        members.push(Arc::new(member));
    }
    let writes = (0..200).map(|n| {
        let member = members[n % 3].clone();
        async move { member.put(format!("k{n}"), "v").await.unwrap() }
    });
    let mut revisions = futures::future::join_all(writes).await;
    revisions.sort_unstable();
    assert_eq!(revisions, (2..202).collect::<Vec<_>>());
    for member in &members {
        assert_eq!(member.list("k").await.unwrap().kvs.len(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_minority_serves_nothing_and_loses_nothing() {
    let group = Group::new(3).await;
    let old = group.leader().await;
    let others: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
    group.member(old).put("a", "1").await.unwrap();
    group.network.cut_off(&[old]);
    let (cut, next) = (group.member(old), group.member(others[0]));
    let (write, read) = tokio::join!(cut.put("a", "lost?"), cut.get("a"));
    assert!(matches!(write, Err(Error::Unavailable { .. })), "{write:?}");
    assert!(matches!(read, Err(Error::Unavailable { .. })), "{read:?}");
    next.put("a", "2").await.unwrap();
    let stale = cut.range_serializable(RangeRequest::key("a")).await.unwrap();
    assert_eq!(stale.kvs[0].value, "1");
    group.network.cut_off(&[]);
    assert_eq!(cut.get("a").await.unwrap().unwrap().value, "2");
}

#[tokio::test(start_paused = true)]
async fn members_come_back_from_their_disks() {
    let mut group = Group::new(3).await;
    for n in 0..50 {
        group.members[n % 3].put(format!("k{n}"), "v").await.unwrap();
    }
    for member in group.members.drain(..) {
        member.close().await;
    }
    for id in 1..=3 {
        let member = group.open(RaftConfig::member(id, 3)).await;
        group.members.push(member);
    }
    for member in &group.members {
        assert_eq!(member.list("k").await.unwrap().kvs.len(), 50);
    }
    assert_eq!(group.members[0].put("last", "v").await.unwrap(), 52);
}

#[tokio::test(start_paused = true)]
async fn a_failed_disk_stops_one_member_only() {
    let group = Group::new(3).await;
    group.member(1).put("a", "1").await.unwrap();
    group.disks[0].break_with(Fault::After);
    group.member(2).put("a", "2").await.unwrap();
    let refused = group.member(1).put("a", "3").await;
    assert!(matches!(refused, Err(Error::Storage(_))), "{refused:?}");
    assert!(group.member(1).status().await.unwrap().failure.is_some());
    assert_eq!(group.member(2).get("a").await.unwrap().unwrap().value, "2");
    group.member(3).put("a", "4").await.unwrap();
}

/// Asks for a change until the members are as wanted: a group refuses one while it is busy with another.
async fn change(member: &RaftStore, changes: Vec<MemberChange>, wanted: impl Fn(&[MemberInfo]) -> bool) {
    while !wanted(&member.raft_status().members) {
        let _ = member.change_members(changes.clone()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A group whose member 3 was lost, and its new member 4 in its place.
async fn with_one_replaced(seed: u64) -> (Group, RaftStore) {
    let mut group = Group::seeded(3, seed).await;
    for n in 0..100 {
        group.member(1).put(format!("k{n}"), "v").await.unwrap();
    }
    let lost = group.members.pop().unwrap();
    lost.close().await;
    group.disks.push(MemoryEngine::default());
    let learner = MemberInfo { learner: true, name: "four".into(), ..MemberInfo::new(4) };
    let swap = vec![MemberChange::Remove(3), MemberChange::Add(learner)];
    change(group.member(1), swap, |members| members.iter().any(|member| member.id == 4)).await;
    let new = group.open(RaftConfig { keep_entries: 10, ..RaftConfig::joining(4) }).await;
    assert_eq!(new.list("k").await.unwrap().kvs.len(), 100);
    assert_eq!(new.raft_status().role, Role::Learner);
    let promote = vec![MemberChange::Promote(4)];
    change(group.member(2), promote, |members| members.iter().all(|member| !member.learner)).await;
    let seen = new.wait_for(|status| status.role != Role::Learner).await.unwrap();
    let ids: Vec<u64> = seen.members.iter().map(|member| member.id).collect();
    assert_eq!(ids, [1, 2, 4]);
    (group, new)
}

/// Who stays has to hear that the leader's removal is committed, for its vote would be needed until then.
#[tokio::test]
async fn a_pair_goes_on_without_its_leader() {
    let group = Group::new(2).await;
    let leader = group.leader().await;
    let other = group.member(3 - leader);
    change(other, vec![MemberChange::Remove(leader)], |members| members.len() == 1).await;
    let written = other.put("a", "alone").await.unwrap();
    assert_eq!(other.get("a").await.unwrap().unwrap().mod_revision, written);
}

/// Waits until a member follows another than member 1.
async fn another_leads(member: &RaftStore) {
    let led = member.wait_for(|status| status.leader.is_some_and(|leader| leader != 1));
    tokio::time::timeout(Duration::from_secs(60), led).await.expect("a leader").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_member_is_replaced() {
    let (group, new) = with_one_replaced(1).await;
    let again = group.member(1).change_members(vec![MemberChange::Add(MemberInfo::new(3))]).await;
    assert!(again.is_err(), "a number is used once");
    group.network.cut_off(&[1]);
    another_leads(&new).await;
    new.put("with", "the new vote").await.unwrap();
}

/// With this seed the two members that are left stand for election in the same moment, five terms in a row, and each votes for
/// itself; two candidates do so once in ten. A request that comes meanwhile gives up, and the group goes on afterwards.
#[tokio::test(start_paused = true)]
async fn ties_outlast_a_request_and_end() {
    let (group, new) = with_one_replaced(3_655_514).await;
    assert_eq!(new.raft_status().leader, Some(1));
    let before = new.raft_status().term;
    group.network.cut_off(&[1]);
    let refused = new.put("with", "the new vote").await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    another_leads(&new).await;
    assert!(new.raft_status().term >= before + 5, "{:?}", new.raft_status());
    new.put("with", "the new vote").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_member_that_was_away_long_gets_a_snapshot() {
    let mut group = Group::empty(1);
    for id in 1..=3 {
        group.disks.push(MemoryEngine::default());
        let config = RaftConfig { keep_entries: 5, chunk_bytes: 512, ..RaftConfig::member(id, 3) };
        let member = group.open(config).await;
        group.members.push(member);
    }
    let away = group.leader().await % 3 + 1;
    let here = away % 3 + 1;
    let mut events = group.member(away).watch(WatchRequest::prefix("k")).await.unwrap();
    group.network.cut_off(&[away]);
    for n in 0..100 {
        group.member(here).put(format!("k{n}"), "some value").await.unwrap();
    }
    group.network.cut_off(&[]);
    assert_eq!(group.member(away).list("k").await.unwrap().kvs.len(), 100);
    for n in 0..100 {
        let event = events.next().await.unwrap().unwrap();
        assert_eq!(event.events[0].kv.key, format!("k{n}"), "the watch misses nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn leadership_moves_when_asked() {
    let group = Group::new(3).await;
    let leader = group.leader().await;
    let to = leader % 3 + 1;
    group.member(leader).transfer_leader(to).await.unwrap();
    group.member(leader).put("a", "1").await.unwrap();
    assert_eq!(group.member(to).raft_status().role, Role::Leader);
}

#[tokio::test(start_paused = true)]
async fn a_lease_outlives_its_leader_and_then_ends() {
    let group = Group::new(3).await;
    let leader = group.leader().await;
    let other = group.member(leader % 3 + 1);
    let ttl = Duration::from_secs(5);
    let LeaseResponse::Granted { id, .. } = other.lease(LeaseRequest::Grant { id: 0, ttl }).await.unwrap()
    else {
        panic!("no lease")
    };
    let put = kube_store::PutRequest::new("a", "1").with_lease(id);
    other.txn(TxnRequest::of([put.into()])).await.unwrap();
    let mut events = other.watch(WatchRequest::prefix("a")).await.unwrap();
    group.network.cut_off(&[leader]);
    other.lease(LeaseRequest::KeepAlive { id }).await.unwrap();
    assert!(other.get("a").await.unwrap().is_some());
    let gone = events.next().await.unwrap().unwrap();
    assert_eq!(gone.events[0].kind, kube_store::EventKind::Delete);
    let LeaseResponse::Leases(left) = other.lease(LeaseRequest::List).await.unwrap() else {
        panic!("no list")
    };
    assert_eq!(left, [0; 0]);
}

async fn remaining(member: &RaftStore, id: i64) -> Duration {
    match member.lease(LeaseRequest::TimeToLive { id }).await.unwrap() {
        LeaseResponse::TimeToLive { remaining, .. } => remaining,
        other => panic!("{other:?}"),
    }
}

/// Another leader gives a lease some time, and a long one no more than it had, as etcd with checkpoints.
#[tokio::test(start_paused = true)]
async fn another_leader_does_not_renew_a_long_lease() {
    const HOUR: Duration = Duration::from_secs(3600);
    let group = Group::new(3).await;
    let leader = group.leader().await;
    let (other, minute) = (group.member(leader % 3 + 1), Duration::from_secs(60));
    for (id, ttl) in [(1, HOUR), (2, HOUR), (3, minute)] {
        other.lease(LeaseRequest::Grant { id, ttl }).await.unwrap();
    }
    tokio::time::sleep(HOUR / 2).await;
    other.lease(LeaseRequest::KeepAlive { id: 2 }).await.unwrap();
    other.lease(LeaseRequest::Grant { id: 4, ttl: minute }).await.unwrap();
    tokio::time::sleep(minute / 2).await;
    group.network.cut_off(&[leader]);
    other.wait_for(|status| status.leader.is_some_and(|it| it != leader)).await.unwrap();
    let new = group.member(other.leader().unwrap());
    for (id, least, most) in
        [(1, HOUR * 4 / 10, HOUR / 2), (2, HOUR * 9 / 10, HOUR), (4, minute * 9 / 10, minute)]
    {
        let left = remaining(new, id).await;
        assert!((least..=most).contains(&left), "lease {id}: {left:?}");
    }
    let LeaseResponse::Leases(left) = new.lease(LeaseRequest::List).await.unwrap() else { panic!("no list") };
    assert!(!left.contains(&3), "{left:?}");
}

/// Members that start anew know what was left of a lease as of the last checkpoint, if there are any.
#[tokio::test(start_paused = true)]
async fn a_lease_is_not_renewed_by_starting_all_members() {
    const HOUR: Duration = Duration::from_secs(3600);
    for checkpoints in [None, Some(Duration::from_secs(300))] {
        let mut group = Group::empty(1);
        let config = |id| {
            let mut config = RaftConfig::member(id, 3);
            config.store.lease_checkpoints = checkpoints;
            config
        };
        for id in 1..=3 {
            group.disks.push(MemoryEngine::default());
            let member = group.open(config(id)).await;
            group.members.push(member);
        }
        group.leader().await;
        for id in [1, 2] {
            group.member(1).lease(LeaseRequest::Grant { id, ttl: HOUR }).await.unwrap();
        }
        tokio::time::sleep(HOUR / 2).await;
        group.member(1).lease(LeaseRequest::KeepAlive { id: 2 }).await.unwrap();
        for member in std::mem::take(&mut group.members) {
            member.close().await;
        }
        for id in 1..=3 {
            let member = group.open(config(id)).await;
            group.members.push(member);
        }
        group.leader().await;
        let (old, renewed) = (remaining(group.member(1), 1).await, remaining(group.member(1), 2).await);
        let is_kept = old <= HOUR / 2 + Duration::from_secs(310);
        assert_eq!(is_kept, checkpoints.is_some(), "{old:?} with {checkpoints:?}");
        assert!(old >= HOUR * 4 / 10 && renewed >= HOUR * 9 / 10, "{old:?} {renewed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn history_is_forgotten_by_all_alike() {
    let mut config = RaftConfig::single();
    config.store.auto_compaction = kube_store::AutoCompaction::Revisions(10);
    let network = LocalNetwork::default();
    let store = RaftStore::open(MemoryEngine::default(), config, network.transport(1)).await.unwrap();
    for n in 0..40 {
        store.put("a", n.to_string()).await.unwrap();
    }
    loop {
        let status = store.status().await.unwrap();
        if status.compacted >= 20 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(matches!(store.range(RangeRequest::key("a").at_revision(5)).await, Err(Error::Compacted { .. })));
}

#[tokio::test(start_paused = true)]
async fn records_reach_every_member_and_one_that_joins() {
    let mut group = Group::new(3).await;
    let record = |key: &'static str, value: Option<&'static str>| (key.into(), value.map(Into::into));
    let changes = vec![record("users/a", Some("1")), record("users/b", Some("2"))];
    let known = group.members[0].records(changes).await.unwrap();
    assert_eq!(known.len(), 2);
    let known = group.members[1].records(vec![record("users/a", None)]).await.unwrap();
    assert_eq!(known.keys().collect::<Vec<_>>(), ["users/b"]);
    // A read waits until this member has what the others wrote.
    group.members[2].get("any").await.unwrap();
    assert_eq!(group.members[2].records(Vec::new()).await.unwrap(), known);
    assert_eq!(group.members[2].records_version(), 2);
    group.disks.push(MemoryEngine::default());
    group.members[0].change_members(vec![MemberChange::Add(MemberInfo::new(4))]).await.unwrap();
    let joined = group.open(RaftConfig::joining(4)).await;
    joined.get("any").await.unwrap();
    assert_eq!(joined.records(Vec::new()).await.unwrap(), known, "a snapshot has the records");
    assert_ne!(joined.records_version(), 0);
    joined.close().await;
    let again = group.open(RaftConfig::joining(4)).await;
    assert_eq!(again.records(Vec::new()).await.unwrap(), known, "and so has the disk");
}

#[tokio::test(start_paused = true)]
async fn the_list_of_members_is_the_newest_wherever_one_asks() {
    let group = Group::new(3).await;
    for id in 4..8 {
        let learner = MemberInfo { learner: true, ..MemberInfo::new(id) };
        group.member(1 + id % 3).change_members(vec![MemberChange::Add(learner)]).await.unwrap();
        for member in &group.members {
            let members = member.members().await.unwrap();
            assert!(members.iter().any(|member| member.id == id), "{id} is missing in {members:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn leaders_answer_reads_alone() {
    let mut group = Group::empty(1);
    for id in 1..=3 {
        group.disks.push(MemoryEngine::default());
        let reads = ReadMode::Lease { drift_percent: 20 };
        let member = group.open(RaftConfig { reads, ..RaftConfig::member(id, 3) }).await;
        group.members.push(member);
    }
    for n in 0..50 {
        let written = group.members[n % 3].put("k", n.to_string()).await.unwrap();
        for member in &group.members {
            assert_eq!(member.get("k").await.unwrap().unwrap().mod_revision, written);
        }
    }
    // A leader alone, which nobody has told yet, answers only for a while.
    let leader = group.leader().await;
    group.network.cut_off(&[leader]);
    let alone = group.member(leader);
    assert!(alone.get("k").await.is_ok(), "nobody else can lead yet");
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert!(alone.get("k").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn of_two_changes_that_do_not_know_of_each_other_one_is_made() {
    let group = Group::new(3).await;
    let swap = |member: u64| {
        let changes = vec![("r".into(), Some("1".into())), (format!("by {member}").into(), Some("x".into()))];
        group.member(member).swap_records(("r".into(), None), changes)
    };
    let (one, two) = tokio::join!(swap(1), swap(2));
    assert_ne!(one.unwrap(), two.unwrap(), "both or neither were made");
    let again = group.member(3).swap_records(("r".into(), Some("1".into())), vec![("r".into(), None)]);
    assert!(again.await.unwrap());
    assert_eq!(group.member(3).records(Vec::new()).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_wants_a_leader_hears_at_once_that_there_is_none() {
    use crate::wire::etcdserverpb as pb;
    // The two others never come.
    let group = LocalNetwork::default();
    let member = RaftStore::open(MemoryEngine::default(), RaftConfig::member(1, 3), group.transport(1)).await;
    let server = EtcdServer::of_group(Arc::new(member.unwrap()), ServerConfig::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(server.serve(listener, tokio_util::sync::CancellationToken::new()));
    let channel = tonic::transport::Channel::from_shared(endpoint).unwrap().connect().await.unwrap();
    for serializable in [false, true] {
        let range = pb::RangeRequest { key: "k".into(), serializable, ..Default::default() };
        let mut request = tonic::Request::new(range);
        request.metadata_mut().insert("hasleader", "true".parse().unwrap());
        let refused = pb::kv_client::KvClient::new(channel.clone()).range(request).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (tonic::Code::Unavailable, "etcdserver: no leader"));
    }
}
