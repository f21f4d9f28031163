//! What a member without a vote answers.

use std::sync::Arc;

use kube_store::engine::MemoryEngine;
use kube_store::raft::{LocalNetwork, MemberChange, MemberInfo, RaftConfig, RaftStore, Role};
use kube_store::{EtcdServer, StoreExt};
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
    let watches = futures::stream::empty::<pb::WatchRequest>();
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
