//! Members over loopback.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{PeerConfig, PeerNetwork, PeerServer, PeerTls, ask_for_members, found};
use crate::engine::MemoryEngine;
use crate::etcd::server::Listener;
use crate::raft::{MemberChange, MemberInfo, RaftConfig, RaftStore, Start};
use crate::{Error, StoreExt};

/// A member with all that serves it.
struct Member {
    store: Arc<RaftStore>,
    network: PeerNetwork,
    shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Member {
    async fn start(listener: TcpListener, config: RaftConfig, members: Vec<MemberInfo>) -> Self {
        Self::start_with(listener, config, members, None).await
    }

    async fn start_with(
        listener: impl Into<Listener>,
        config: RaftConfig,
        members: Vec<MemberInfo>,
        tls: Option<Tls>,
    ) -> Self {
        let (shown, asked) = tls.map(|tls| (tls.client, tls.server)).unzip();
        let peer = PeerConfig { tls: shown, ..PeerConfig::new(config.cluster, config.id, members) };
        let network = PeerNetwork::new(peer);
        let config = RaftConfig { tick: Duration::from_millis(20), ..config };
        let transport = Arc::new(network.clone());
        let store = RaftStore::open(MemoryEngine::default(), config, transport).await.unwrap();
        network.attach(store.inbox());
        let (store, shutdown) = (Arc::new(store), CancellationToken::new());
        let serving = tokio::spawn(PeerServer::new(&store).counting(&network).serve(
            listener.into(),
            asked,
            shutdown.clone(),
        ));
        Self { store, network, shutdown, serving }
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
    group_with(listeners(count).await, &vec![None; count]).await
}

async fn group_with(listeners: Vec<(impl Into<Listener>, String)>, tls: &[Option<Tls>]) -> Vec<Member> {
    let named = listeners.iter().enumerate().map(|(n, (_, url))| (format!("m{n}"), vec![url.clone()]));
    let (cluster, members) = found("token", named);
    let mut started = Vec::new();
    for ((listener, url), tls) in listeners.into_iter().zip(tls) {
        let id = members.iter().find(|member| member.peer_urls == [url.clone()]).unwrap().id;
        let start = Start::New(members.clone());
        let config = RaftConfig { cluster, start, ..RaftConfig::member(id, 1) };
        started.push(Member::start_with(listener, config, members.clone(), tls.clone()).await);
    }
    started
}

/// What a member shows, and whom it believes.
#[derive(Debug, Clone)]
struct Tls {
    server: watch::Receiver<Arc<rustls::ServerConfig>>,
    client: PeerTls,
}

impl Tls {
    /// Of a member that `own` vouches for, and that believes whom `others` vouches for.
    fn new(own: &Issuer<'_, KeyPair>, others: &CertificateDer<'static>) -> Self {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let chain = vec![leaf.signed_by(&key, own).unwrap().der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(others.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone().into(), provider.clone());
        let server = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap());
        let mut server = server.with_single_cert(chain.clone(), key.clone_key()).unwrap();
        server.alpn_protocols = vec![b"h2".to_vec()];
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut client = client.with_client_auth_cert(chain, key).unwrap();
        client.alpn_protocols = vec![b"h2".to_vec()];
        Self { server: watch::channel(Arc::new(server)).1, client: watch::channel(Arc::new(client)).1 }
    }
}

fn authority() -> (Issuer<'static, KeyPair>, CertificateDer<'static>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap().der().clone();
    (Issuer::new(params, key), root)
}

#[tokio::test(flavor = "multi_thread")]
async fn members_believe_only_their_authority() {
    let ((issuer, root), (stranger, _)) = (authority(), authority());
    let mut listeners = listeners(3).await;
    listeners.iter_mut().for_each(|(_, url)| *url = url.replace("http://", "https://"));
    // The third shows a certificate of somebody else's, though it believes the others.
    let tls = [&issuer, &issuer, &stranger].map(|own| Some(Tls::new(own, &root)));
    let members = group_with(listeners, &tls).await;
    members[0].store.put("a", "1").await.unwrap();
    assert_eq!(members[1].store.get("a").await.unwrap().unwrap().value, "1");
    let outside = members[2].store.raft_status();
    assert_eq!((outside.leader, outside.applied), (None, 1), "nobody listens to it, and it to nobody");
    for member in members {
        member.stop().await;
    }
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
async fn a_group_over_files_of_this_machine_writes() {
    let dir = tempfile::tempdir().unwrap();
    let listeners = (0..3).map(|n| {
        let path = dir.path().join(format!("m{n}"));
        (UnixListener::bind(&path).unwrap(), format!("unix://{}", path.display()))
    });
    let members = group_with(listeners.collect(), &vec![None; 3]).await;
    members[0].store.put("a", "1").await.unwrap();
    assert_eq!(members[1].store.get("a").await.unwrap().unwrap().value, "1");
    for member in members {
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

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_to_another_member_is_counted_there_and_here() {
    let members = group(3).await;
    members[0].store.put("a", vec![0; 10_000]).await.unwrap();
    let leader = members[0].store.wait_for(|status| status.leader.is_some()).await.unwrap().leader.unwrap();
    let (leads, follows): (Vec<_>, Vec<_>) = members.iter().partition(|member| member.store.id() == leader);
    let (sender, follower) = (leads[0], follows[0]);
    let sent = sender.network.metrics().of(follower.store.id());
    let received = follower.network.metrics().of(leader);
    // The follower may not be the one whose disk made the majority.
    while received.received.get() < 10_000 || sent.round_trips.sum() == 0.0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(sent.sent.get() >= received.received.get(), "nothing comes that was not sent");
    assert_eq!(sender.network.metrics().links().len(), 2);
    for member in members {
        member.stop().await;
    }
}
