//! etcd's services of locks and elections, which clients in other languages than Go use.

use std::sync::Arc;

use futures::FutureExt;
use kube_store::{EtcdServer, MemoryStore, Store, StoreExt, WatchRequest};
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::users::{config, enable_users, serve};
use crate::wire::etcdserverpb as keys;
use crate::wire::v3electionpb::election_client::ElectionClient;
use crate::wire::v3electionpb::{CampaignRequest, LeaderKey, LeaderRequest, ProclaimRequest, ResignRequest};
use crate::wire::v3lockpb::lock_client::LockClient;
use crate::wire::v3lockpb::{LockRequest, UnlockRequest};

async fn served() -> (Arc<MemoryStore>, Channel) {
    let store = Arc::new(MemoryStore::new());
    (store.clone(), serve(EtcdServer::with_config(store, config())).await)
}

async fn lease(channel: &Channel) -> i64 {
    let grant = keys::LeaseGrantRequest { id: 0, ttl: 600 };
    keys::lease_client::LeaseClient::new(channel.clone()).lease_grant(grant).await.unwrap().into_inner().id
}

async fn revoke(channel: &Channel, id: i64) {
    let request = keys::LeaseRevokeRequest { id };
    keys::lease_client::LeaseClient::new(channel.clone()).lease_revoke(request).await.unwrap();
}

/// Waits until so many keys have been put under a name.
async fn queued(store: &MemoryStore, name: &str, number: usize) {
    let mut changes = store.watch(WatchRequest::prefix(format!("{name}/")).from_revision(1)).await.unwrap();
    let mut seen = 0;
    while seen < number {
        seen += futures::StreamExt::next(&mut changes).await.unwrap().unwrap().events.len();
    }
}

fn lock(name: &'static str, lease: i64) -> LockRequest {
    LockRequest { name: name.into(), lease }
}

#[tokio::test]
async fn one_has_a_lock_at_a_time() {
    let (store, channel) = served().await;
    let (first, second) = (lease(&channel).await, lease(&channel).await);
    let mut locks = LockClient::new(channel.clone());
    let held = locks.lock(lock("l", first)).await.unwrap().into_inner();
    assert_eq!(held.key, format!("l/{first:x}"));
    assert_eq!(locks.lock(lock("l", first)).await.unwrap().into_inner().key, held.key, "who has it has it");
    let mut waiting = tokio::spawn(async move { LockClient::new(channel).lock(lock("l", second)).await });
    queued(&store, "l", 2).await;
    assert!((&mut waiting).now_or_never().is_none());
    locks.unlock(UnlockRequest { key: held.key }).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().into_inner().key, format!("l/{second:x}"));
}

#[tokio::test]
async fn who_goes_away_gives_its_place_up_and_whose_lease_ends_does_not_get_the_lock() {
    let (store, channel) = served().await;
    let leases = [lease(&channel).await, lease(&channel).await, lease(&channel).await];
    let [first, second, third] = leases;
    let mut locks = LockClient::new(channel.clone());
    let held = locks.lock(lock("l", first)).await.unwrap().into_inner();
    let wait = |lease| {
        let mut locks = locks.clone();
        tokio::spawn(async move { locks.lock(lock("l", lease)).await })
    };
    let away = wait(second);
    queued(&store, "l", 2).await;
    away.abort();
    // The deletion is the third change.
    queued(&store, "l", 3).await;
    assert!(store.get(format!("l/{second:x}")).await.unwrap().is_none());
    let expired = wait(third);
    queued(&store, "l", 4).await;
    revoke(&channel, third).await;
    locks.unlock(UnlockRequest { key: held.key }).await.unwrap();
    let status = expired.await.unwrap().unwrap_err();
    assert_eq!(status.message(), "mutex: session is expired");
    let status = locks.lock(lock("l", third)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "etcdserver: requested lease not found"));
}

#[tokio::test]
async fn a_lock_without_a_lease_is_given_one() {
    let (store, channel) = served().await;
    let held = LockClient::new(channel).lock(lock("l", 0)).await.unwrap().into_inner();
    assert_ne!(store.get(held.key).await.unwrap().unwrap().lease, 0);
}

fn campaign(lease: i64, value: &'static str) -> CampaignRequest {
    CampaignRequest { name: "e".into(), lease, value: value.into() }
}

async fn leader(elections: &mut ElectionClient<Channel>) -> Result<String, String> {
    match elections.leader(LeaderRequest { name: "e".into() }).await {
        Ok(leader) => Ok(String::from_utf8(leader.into_inner().kv.unwrap().value.to_vec()).unwrap()),
        Err(status) => Err(status.message().to_owned()),
    }
}

#[tokio::test]
async fn one_leads_at_a_time_and_says_what_it_likes() {
    let (store, channel) = served().await;
    let (first, second) = (lease(&channel).await, lease(&channel).await);
    let mut elections = ElectionClient::new(channel);
    assert_eq!(leader(&mut elections).await, Err("election: no leader".into()));
    let elected = elections.campaign(campaign(first, "one")).await.unwrap().into_inner().leader.unwrap();
    assert_eq!((&elected.name[..], elected.lease), (&b"e"[..], first));
    elections.campaign(campaign(first, "again")).await.unwrap();
    assert_eq!(leader(&mut elections).await, Ok("again".into()));
    let waiting = {
        let mut elections = elections.clone();
        tokio::spawn(async move { elections.campaign(campaign(second, "two")).await })
    };
    queued(&store, "e", 3).await;
    let proclaim = |leader| ProclaimRequest { leader, value: "more".into() };
    elections.proclaim(proclaim(Some(elected.clone()))).await.unwrap();
    assert_eq!(leader(&mut elections).await, Ok("more".into()));
    elections.resign(ResignRequest { leader: Some(elected.clone()) }).await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(leader(&mut elections).await, Ok("two".into()));
    let status = elections.proclaim(proclaim(Some(elected.clone()))).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unknown, "election: not leader"));
    elections.resign(ResignRequest { leader: Some(elected) }).await.unwrap();
    assert_eq!(leader(&mut elections).await, Ok("two".into()), "who no longer leads resigns from nothing");
    let status = elections.resign(ResignRequest { leader: None }).await.unwrap_err();
    assert_eq!(status.message(), "\"leader\" field must be provided");
}

#[tokio::test]
async fn an_election_is_observed() {
    let (_, channel) = served().await;
    let (first, second) = (lease(&channel).await, lease(&channel).await);
    let mut elections = ElectionClient::new(channel);
    let mut observed = elections.observe(LeaderRequest { name: "e".into() }).await.unwrap().into_inner();
    let mut said = async || {
        let response = observed.message().await.unwrap().unwrap();
        String::from_utf8(response.kv.unwrap().value.to_vec()).unwrap()
    };
    let one = elections.campaign(campaign(first, "one")).await.unwrap().into_inner().leader.unwrap();
    assert_eq!(said().await, "one");
    elections.proclaim(ProclaimRequest { leader: Some(one.clone()), value: "more".into() }).await.unwrap();
    assert_eq!(said().await, "more");
    elections.resign(ResignRequest { leader: Some(one) }).await.unwrap();
    elections.campaign(campaign(second, "two")).await.unwrap();
    assert_eq!(said().await, "two");
}

/// What locks and elections do is done in the caller's name.
#[tokio::test]
async fn strangers_get_nothing() {
    let (store, channel) = served().await;
    enable_users(channel.clone()).await;
    let (mut locks, mut elections) = (LockClient::new(channel.clone()), ElectionClient::new(channel.clone()));
    let key = LeaderKey { name: "e".into(), key: "e/1".into(), rev: 0, lease: 0 };
    let name = || LeaderRequest { name: "e".into() };
    for refused in [
        locks.lock(lock("l", 7)).await.map(drop),
        locks.unlock(UnlockRequest { key: "l/7".into() }).await.map(drop),
        elections.campaign(campaign(7, "one")).await.map(drop),
        elections.proclaim(ProclaimRequest { leader: Some(key.clone()), value: "x".into() }).await.map(drop),
        elections.resign(ResignRequest { leader: Some(key) }).await.map(drop),
        elections.leader(name()).await.map(drop),
        elections.observe(name()).await.unwrap().into_inner().message().await.map(drop),
    ] {
        assert_eq!(refused.unwrap_err().message(), "etcdserver: user name is empty");
    }
    assert!(store.get("l/7").await.unwrap().is_none());
    let login = keys::AuthenticateRequest { name: "root".into(), password: "pw".into() };
    let token =
        keys::auth_client::AuthClient::new(channel).authenticate(login).await.unwrap().into_inner().token;
    let mut request = Request::new(lock("l", 0));
    request.metadata_mut().insert("token", token.parse().unwrap());
    locks.lock(request).await.unwrap();
}
