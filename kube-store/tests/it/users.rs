//! Users that a member hears of by a snapshot.

use std::sync::Arc;
use std::time::Duration;

use kube_store::engine::MemoryEngine;
use kube_store::raft::{LocalNetwork, RaftConfig, RaftStore};
use kube_store::testing::simulation::{Liar, Lie};
use kube_store::{Error, EtcdServer, EtcdStore, Member, ServerConfig, Store, StoreExt};
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
