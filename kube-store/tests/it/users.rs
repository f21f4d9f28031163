//! Users that a member hears of by a snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use kube_store::engine::MemoryEngine;
use kube_store::raft::{LocalNetwork, RaftConfig, RaftStore};
use kube_store::testing::simulation::{Liar, Lie};
use kube_store::{
    Error, EtcdServer, EtcdStore, JsonWebTokens, Member, MemoryStore, ServerConfig, Store, StoreExt,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::wire::etcdserverpb as pb;

pub(crate) async fn serve(server: EtcdServer) -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(server.serve(listener, CancellationToken::new()));
    Channel::from_shared(endpoint).unwrap().connect().await.unwrap()
}

/// The cheapest hash: passwords of tests are no secrets.
pub(crate) fn config() -> ServerConfig {
    ServerConfig { member: Member::default(), bcrypt_cost: 4, ..ServerConfig::default() }
}

pub(crate) async fn enable_users(channel: Channel) {
    let mut auth = pb::auth_client::AuthClient::new(channel);
    let user = pb::AuthUserAddRequest { name: "root".into(), password: "pw".into(), ..Default::default() };
    auth.user_add(user).await.unwrap();
    auth.role_add(pb::AuthRoleAddRequest { name: "root".into() }).await.unwrap();
    let grant = pb::AuthUserGrantRoleRequest { user: "root".into(), role: "root".into() };
    auth.user_grant_role(grant).await.unwrap();
    auth.auth_enable(pb::AuthEnableRequest {}).await.unwrap();
}

/// Whether a write without a name is refused.
async fn refuses_strangers(channel: Channel) -> bool {
    match EtcdStore::with_channel(channel).put("a", "stranger").await {
        Ok(_) => false,
        Err(error) => {
            assert!(error.to_string().contains("user name is empty"), "{error}");
            true
        }
    }
}

/// etcd's issue 14571: a member that had got its users by a snapshot did not know them. Here that would let strangers in, since
/// a member looks at who calls before a request is put into the log.
#[tokio::test(flavor = "multi_thread")]
async fn users_come_with_a_snapshot() {
    let (network, mut members) = (LocalNetwork::default(), Vec::new());
    for id in 1..=3 {
        let tick = Duration::from_millis(20);
        let config = RaftConfig { keep_entries: 5, tick, ..RaftConfig::member(id, 3) };
        let member = RaftStore::open(MemoryEngine::default(), config, network.transport(id)).await.unwrap();
        network.attach(id, member.inbox());
        members.push(Arc::new(member));
    }
    let away = members[2].clone();
    let first = serve(EtcdServer::of_group(members[0].clone(), config())).await;
    let honest = serve(EtcdServer::of_group(away.clone(), config())).await;
    let liar: Arc<dyn Store> = Arc::new(Liar::new(away.clone(), Lie::OldRecords));
    let lying = serve(EtcdServer::with_config(liar, config())).await;
    for channel in [&honest, &lying] {
        assert!(!refuses_strangers(channel.clone()).await, "there are no users yet");
    }
    network.cut_off(&[3]);
    enable_users(first).await;
    for n in 0..50 {
        members[0].put(format!("k{n}"), "more than the log keeps").await.unwrap();
    }
    network.cut_off(&[]);
    let revision = members[0].revision().await.unwrap();
    loop {
        // Elections may go on, since one that was cut off has asked for votes.
        match away.get("k49").await {
            Ok(Some(_)) => break,
            Ok(None) | Err(Error::Unavailable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(away.revision().await.unwrap(), revision);
    assert!(refuses_strangers(honest).await, "the member knows the users");
    assert!(!refuses_strangers(lying).await, "the test notices a member that does not");
}

/// As etcd: a JSON Web Token names a user at every server that has the key, and is too old for keys once users or roles have
/// changed. What a server says that cannot sign is what 3.5.30 was seen to say.
#[tokio::test]
async fn json_web_tokens_name_users() {
    let keys = rcgen::KeyPair::generate().unwrap();
    let (private, public) = (keys.serialize_pem(), keys.public_key_pem());
    let stranger = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let store = Arc::new(MemoryStore::new());
    let server = async |private: Option<&str>, public: Option<&str>| {
        let (private, public) = (private.map(str::as_bytes), public.map(str::as_bytes));
        let tokens = JsonWebTokens::new("ES256", private, public, Duration::from_secs(300)).unwrap();
        let config = ServerConfig { json_web_tokens: Some(Arc::new(tokens)), ..config() };
        serve(EtcdServer::with_config(store.clone(), config)).await
    };
    let one = server(Some(&private), None).await;
    let reads = server(None, Some(&public)).await;
    let stranger = server(Some(&stranger), None).await;
    enable_users(one.clone()).await;

    let token = login(&one).await.unwrap();
    assert_eq!(login(&reads).await, Err("auth: token signing attempted with verify-only key".into()));
    assert_eq!(put(&stranger, &token).await, Err("etcdserver: invalid auth token".into()));
    assert_eq!(put(&reads, &token).await, Ok(()));
    assert_eq!(add_role(&reads, &token, "a").await, Ok(()));
    assert_eq!(put(&one, &token).await, Err("etcdserver: revision of auth store is old".into()));
    assert_eq!(add_role(&one, &token, "b").await, Ok(()), "root is root whatever the revision");
    assert_eq!(put(&reads, &login(&one).await.unwrap()).await, Ok(()));
}

/// The time by the clock of the next test, in seconds.
static NOW: AtomicU64 = AtomicU64::new(1 << 30);

/// Nothing makes a JSON Web Token live longer; a lease that is kept alive all the time must not end with it.
#[tokio::test]
async fn a_lease_is_kept_alive_beyond_the_token() {
    let ttl = Duration::from_secs(300);
    let tokens = JsonWebTokens::new("HS256", Some(b"secret"), None, ttl).unwrap();
    let clock = || SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.load(Ordering::Relaxed));
    let config = ServerConfig { json_web_tokens: Some(Arc::new(tokens)), clock, ..config() };
    let channel = serve(EtcdServer::with_config(Arc::new(MemoryStore::new()), config)).await;
    enable_users(channel.clone()).await;
    let token = login(&channel).await.unwrap();
    let mut leases = pb::lease_client::LeaseClient::new(channel.clone());
    let grant = pb::LeaseGrantRequest { id: 7, ttl: 3600 };
    leases.lease_grant(with_token(grant, &token)).await.unwrap();
    let (sender, requests) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let kept = async |sender: &tokio::sync::mpsc::Sender<_>| {
        sender.send(pb::LeaseKeepAliveRequest { id: 7 }).await.unwrap();
    };
    kept(&sender).await;
    let mut answers = leases.lease_keep_alive(with_token(requests, &token)).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().ttl, 3600);
    NOW.fetch_add(ttl.as_secs(), Ordering::Relaxed);
    assert_eq!(put(&channel, &token).await, Err("etcdserver: invalid auth token".into()));
    kept(&sender).await;
    assert_eq!(answers.message().await.unwrap().unwrap().ttl, 3600);
}

async fn login(channel: &Channel) -> Result<String, String> {
    let mut auth = pb::auth_client::AuthClient::new(channel.clone());
    let who = pb::AuthenticateRequest { name: "root".into(), password: "pw".into() };
    auth.authenticate(who).await.map(|response| response.into_inner().token).map_err(words)
}

async fn put(channel: &Channel, token: &str) -> Result<(), String> {
    let request = pb::PutRequest { key: "k".into(), ..Default::default() };
    let mut kv = pb::kv_client::KvClient::new(channel.clone());
    kv.put(with_token(request, token)).await.map(drop).map_err(words)
}

async fn add_role(channel: &Channel, token: &str, name: &str) -> Result<(), String> {
    let request = pb::AuthRoleAddRequest { name: name.into() };
    let mut auth = pb::auth_client::AuthClient::new(channel.clone());
    auth.role_add(with_token(request, token)).await.map(drop).map_err(words)
}

fn with_token<T>(message: T, token: &str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("token", token.parse().unwrap());
    request
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err gives")]
fn words(status: tonic::Status) -> String {
    status.message().to_owned()
}
