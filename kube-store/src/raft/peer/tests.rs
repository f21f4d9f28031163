//! Members over loopback.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{PeerConfig, PeerNetwork, PeerServer, ask_for_members, found};
use crate::engine::MemoryEngine;
use crate::raft::{MemberChange, MemberInfo, RaftConfig, RaftStore, Start};
use crate::{Error, Store, StoreExt};

/// A member with all that serves it.
struct Member {
    store: Arc<RaftStore>,
    shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Member {
    async fn start(listener: TcpListener, config: RaftConfig, members: Vec<MemberInfo>) -> Self {
        let network = PeerNetwork::new(PeerConfig::new(config.cluster, config.id, members));
        let config = RaftConfig { tick: Duration::from_millis(20), ..config };
        let transport = Arc::new(network.clone());
        let store = RaftStore::open(MemoryEngine::default(), config, transport).await.unwrap();
        network.attach(store.inbox());
        let (store, shutdown) = (Arc::new(store), CancellationToken::new());
        let serving = tokio::spawn(PeerServer::new(&store).serve(listener, None, shutdown.clone()));
        Self { store, shutdown, serving }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.serving.await.unwrap().unwrap();
    }
}

async fn listeners(count: usize) -> Vec<(TcpListener, String)> {
    let mut listeners = Vec::new();
    for _ in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        listeners.push((listener, url));
    }
    listeners
}

/// A new group of so many members.
async fn group(count: usize) -> Vec<Member> {
    let listeners = listeners(count).await;
    let named = listeners.iter().enumerate().map(|(n, (_, url))| (format!("m{n}"), vec![url.clone()]));
    let (cluster, members) = found("token", named);
    let mut started = Vec::new();
    for (listener, url) in listeners {
        let id = members.iter().find(|member| member.peer_urls == [url.clone()]).unwrap().id;
        let start = Start::New(members.clone());
        let config = RaftConfig { cluster, start, ..RaftConfig::member(id, 1) };
        started.push(Member::start(listener, config, members.clone()).await);
    }
    started
}

#[test]
fn numbers_follow_from_token_and_urls() {
    let members = |token| found(token, [("a", "http://a:1"), ("b", "http://b:1")].map(own));
    fn own((name, url): (&str, &str)) -> (String, Vec<String>) {
        (name.into(), vec![url.into()])
    }
    let turned = found("t", [("b", "http://b:1"), ("a", "http://a:1")].map(own));
    assert_eq!(members("t"), turned);
    assert_ne!(members("t").0, members("u").0);
    assert_ne!(members("t").1[0].id, members("t").1[1].id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_over_connections_writes_grows_and_shrinks() {
    let mut members = group(3).await;
    let written = members[0].store.put("a", "1").await.unwrap();
    assert_eq!(members[2].store.get("a").await.unwrap().unwrap().mod_revision, written);

    let (listener, url) = listeners(1).await.remove(0);
    let known = members[0].store.raft_status().members;
    let urls: Vec<String> = known.iter().flat_map(|member| member.peer_urls.clone()).collect();
    let (cluster, asked) = ask_for_members(&urls, None).await.unwrap();
    assert_eq!((cluster, asked.len()), (members[0].store.cluster(), 3));
    let new = MemberInfo { id: 7, peer_urls: vec![url], learner: true, ..MemberInfo::default() };
    members[1].store.change_members(vec![MemberChange::Add(new)]).await.unwrap();
    let config = RaftConfig { cluster, ..RaftConfig::joining(7) };
    let joined = Member::start(listener, config, asked).await;
    // It is sent a snapshot, over the connection for those.
    joined.store.wait_for(|status| status.members.len() == 4).await.unwrap();
    while let Err(error) = members[0].store.change_members(vec![MemberChange::Promote(7)]).await {
        assert!(matches!(error, Error::Precondition(_) | Error::Unavailable { .. }), "{error}");
        tokio::task::yield_now().await;
    }
    assert_eq!(joined.store.get("a").await.unwrap().unwrap().value, "1");

    // One that was cut off while it was removed hears of it when it asks for votes.
    let gone = members.remove(2);
    let id = gone.store.id();
    members[0].store.change_members(vec![MemberChange::Remove(id)]).await.unwrap();
    let ended = gone.store.wait_for(|_| false).await;
    assert!(ended.is_err());
    assert!(gone.store.put("b", "1").await.is_err());
    joined.store.put("b", "2").await.unwrap();
    for member in members.into_iter().chain([joined, gone]) {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_another_group_is_not_heard() {
    let members = group(1).await;
    let own = &members[0].store;
    let status = own.wait_for(|status| status.leader.is_some()).await.unwrap();
    let url = status.members[0].peer_urls[0].clone();
    let (listener, _) = listeners(1).await.remove(0);
    let peer = MemberInfo { id: own.id(), peer_urls: vec![url], ..MemberInfo::default() };
    let stranger = MemberInfo::new(99);
    let start = Start::New(vec![stranger, peer.clone()]);
    let config = RaftConfig { cluster: own.cluster() + 1, start, ..RaftConfig::member(99, 1) };
    let stranger = Member::start(listener, config, vec![peer]).await;
    own.put("a", "1").await.unwrap();
    assert_eq!(stranger.store.raft_status().leader, None);
    assert_eq!(own.raft_status().term, status.term);
    for member in members.into_iter().chain([stranger]) {
        member.stop().await;
    }
}
