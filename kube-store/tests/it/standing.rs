//! What members answer that cannot answer everything: learners, and those without a leader.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use kube_store::engine::MemoryEngine;
use kube_store::raft::{LocalNetwork, MemberChange, MemberInfo, RaftConfig, RaftStore, Role};
use kube_store::{EtcdServer, Store, StoreExt, WatchRequest};
use tonic::Status;

use crate::users::{config, serve};
use crate::wire::etcdserverpb as pb;

async fn open(network: &LocalNetwork, config: RaftConfig) -> Arc<RaftStore> {
    let id = config.id;
    let member = RaftStore::open(MemoryEngine::default(), config, network.transport(id)).await.unwrap();
    network.attach(id, member.inbox());
    Arc::new(member)
}

#[tokio::test]
async fn a_learner_answers_only_what_need_not_be_up_to_date() {
    let network = LocalNetwork::default();
    let voter = open(&network, RaftConfig::member(1, 1)).await;
    let added = MemberInfo { learner: true, name: "two".into(), ..MemberInfo::new(2) };
    voter.change_members(vec![MemberChange::Add(added)]).await.unwrap();
    let learner = open(&network, RaftConfig::joining(2)).await;
    voter.put("a", "1").await.unwrap();
    // It has heard of the change.
    assert_eq!(learner.get("a").await.unwrap().unwrap().value, "1");
    assert_eq!(learner.raft_status().role, Role::Learner);
    let channel = serve(EtcdServer::of_group(learner.clone(), config())).await;
    let mut keys = pb::kv_client::KvClient::new(channel.clone());
    let range = |serializable| pb::RangeRequest { key: "a".into(), serializable, ..Default::default() };
    assert_eq!(keys.range(range(true)).await.unwrap().into_inner().kvs.len(), 1);
    let mut maintenance = pb::maintenance_client::MaintenanceClient::new(channel.clone());
    assert!(maintenance.status(pb::StatusRequest {}).await.unwrap().into_inner().is_learner);
    let watches = stream::empty::<pb::WatchRequest>();
    let refused: [Result<(), Status>; 5] = [
        keys.range(range(false)).await.map(drop),
        keys.put(pb::PutRequest { key: "a".into(), ..Default::default() }).await.map(drop),
        keys.txn(pb::TxnRequest::default()).await.map(drop),
        pb::watch_client::WatchClient::new(channel.clone()).watch(watches).await.map(drop),
        pb::cluster_client::ClusterClient::new(channel)
            .member_list(pb::MemberListRequest::default())
            .await
            .map(drop),
    ];
    for refused in refused {
        let status = refused.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (tonic::Code::Unavailable, "etcdserver: rpc not supported for learner")
        );
    }
    voter.change_members(vec![MemberChange::Promote(2)]).await.unwrap();
    learner.wait_for(|status| status.role != Role::Learner).await.unwrap();
    assert_eq!(keys.range(range(false)).await.unwrap().into_inner().kvs.len(), 1);
}

async fn group(network: &LocalNetwork) -> Vec<Arc<RaftStore>> {
    let mut members = Vec::new();
    for id in 1..=3 {
        let tick = Duration::from_millis(20);
        members.push(open(network, RaftConfig { tick, ..RaftConfig::member(id, 3) }).await);
    }
    members
}

#[tokio::test]
async fn without_a_leader_history_is_told_and_leases_end() {
    let network = LocalNetwork::default();
    let members = group(&network).await;
    let put = members[0].put("a", "1").await.unwrap();
    let channel = serve(EtcdServer::of_group(members[0].clone(), config())).await;
    let (sender, requests) = tokio::sync::mpsc::channel(1);
    let mut request = tonic::Request::new(tokio_stream::wrappers::ReceiverStream::new(requests));
    request.metadata_mut().insert("hasleader", "true".parse().unwrap());
    let mut leases = pb::lease_client::LeaseClient::new(channel.clone());
    let id = leases.lease_grant(pb::LeaseGrantRequest { id: 7, ttl: 600 }).await.unwrap().into_inner().id;
    let mut kept = leases.lease_keep_alive(request).await.unwrap().into_inner();
    sender.send(pb::LeaseKeepAliveRequest { id }).await.unwrap();
    assert_eq!(kept.message().await.unwrap().unwrap().ttl, 600);
    network.cut_off(&[1]);
    let status = kept.message().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (tonic::Code::Unavailable, "etcdserver: no leader"));
    let mut history = members[0].watch(WatchRequest::key("a").from_revision(1)).await.unwrap();
    assert_eq!(history.next().await.unwrap().unwrap().revision, put);
    let create = pb::WatchCreateRequest { key: "a".into(), start_revision: 1, ..Default::default() };
    let union = Some(pb::watch_request::RequestUnion::CreateRequest(create));
    let requests = stream::iter([pb::WatchRequest { request_union: union }]).chain(stream::pending());
    let watched = pb::watch_client::WatchClient::new(channel).watch(requests).await;
    let mut watched = watched.unwrap().into_inner();
    assert!(watched.message().await.unwrap().unwrap().created);
    assert_eq!(watched.message().await.unwrap().unwrap().events[0].kv.as_ref().unwrap().mod_revision, put);
}

/// A client that sends no more ends its stream, also when it would hear of a lost leader.
#[tokio::test]
async fn a_stream_of_leases_ends_with_its_requests() {
    let network = LocalNetwork::default();
    let members = group(&network).await;
    members[0].put("a", "1").await.unwrap();
    let channel = serve(EtcdServer::of_group(members[0].clone(), config())).await;
    let mut request = tonic::Request::new(stream::iter([pb::LeaseKeepAliveRequest { id: 7 }]));
    request.metadata_mut().insert("hasleader", "true".parse().unwrap());
    let mut kept =
        pb::lease_client::LeaseClient::new(channel).lease_keep_alive(request).await.unwrap().into_inner();
    assert_eq!(kept.message().await.unwrap().unwrap().ttl, 0, "there is no such lease");
    assert!(kept.message().await.unwrap().is_none());
}
