//! Members and maintenance.

use etcd_client::{AlarmAction, AlarmOptions, AlarmType, MemberAddOptions};

use super::{Server, refusal};

#[tokio::test]
async fn members_come_and_go() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let list = client.member_list().await.unwrap();
    let [own] = list.members() else { panic!("{list:?}") };
    assert_eq!((own.name(), own.is_learner()), ("one", false));
    assert_eq!(own.client_urls(), [format!("http://{}", server.address)]);
    let (id, urls) = (own.id(), own.peer_urls().to_vec());
    let learner = || Some(MemberAddOptions::new().with_is_learner());
    let added = client.member_add(["http://127.0.0.1:1"], learner()).await.unwrap();
    let new = added.member().unwrap();
    assert_eq!((new.is_learner(), added.member_list().len()), (true, 2));
    assert_eq!(
        refusal(client.member_add(["http://127.0.0.1:2"], learner()).await),
        "etcdserver: too many learner members in cluster"
    );
    assert_eq!(refusal(client.member_add(urls, None).await), "etcdserver: Peer URLs already exists");
    let updated = client.member_update(new.id(), ["http://127.0.0.1:3".to_owned()]).await.unwrap();
    let updated = updated.members().iter().find(|member| member.id() == new.id()).unwrap();
    assert_eq!(updated.peer_urls(), ["http://127.0.0.1:3"]);
    assert_eq!(
        refusal(client.member_promote(new.id()).await),
        "etcdserver: can only promote a learner member which is in sync with leader"
    );
    assert_eq!(refusal(client.member_promote(id).await), "etcdserver: can only promote a learner member");
    assert_eq!(refusal(client.move_leader(new.id()).await), "etcdserver: bad leader transferee");
    assert!(client.move_leader(id).await.unwrap().header().is_none(), "etcd's answer has none");
    assert_eq!(client.member_remove(new.id()).await.unwrap().members().len(), 1);
    assert_eq!(refusal(client.member_remove(new.id()).await), "etcdserver: member not found");
}

#[tokio::test]
async fn maintenance_tells_how_the_server_is() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let revision = client.put("a", "1", None).await.unwrap().header().unwrap().revision();
    let status = client.status().await.unwrap();
    assert!(status.version().starts_with("3."), "{status:?}");
    assert_eq!(status.leader(), status.header().unwrap().member_id());
    assert_eq!((status.is_learner(), status.errors().len()), (false, 0));
    assert!(status.db_size() > 0 && status.raft_used_db_size() > 0 && status.raft_term() > 0, "{status:?}");
    assert!(status.raft_index() >= status.raft_applied_index(), "{status:?}");
    assert!(client.defragment().await.unwrap().header().is_none(), "etcd's answer has none");

    let hashes = [client.hash().await.unwrap().hash(), client.hash().await.unwrap().hash()];
    assert_eq!(hashes[0], hashes[1]);
    let hash = client.hash_kv(revision).await.unwrap();
    assert_eq!(hash.compact_version(), -1);
    client.put("a", "2", None).await.unwrap();
    assert_ne!(client.hash_kv(0).await.unwrap().hash(), hash.hash());
    assert_eq!(client.hash_kv(revision).await.unwrap().hash(), hash.hash(), "of then");

    let full = client.alarm(AlarmAction::Activate, AlarmType::Nospace, None).await.unwrap();
    assert_eq!(full.alarms().len(), 1);
    assert_eq!(refusal(client.put("a", "3", None).await), "etcdserver: mvcc: database space exceeded");
    let mut any = AlarmOptions::new();
    any.with_member(0);
    let raised = client.alarm(AlarmAction::Get, AlarmType::Nospace, Some(any)).await.unwrap();
    assert_eq!(raised.alarms()[0].alarm(), AlarmType::Nospace);
    client.alarm(AlarmAction::Deactivate, AlarmType::Nospace, None).await.unwrap();
    client.put("a", "3", None).await.unwrap();
}

#[tokio::test]
async fn a_snapshot_is_a_database_of_etcds() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for n in 0..100 {
        client.put(format!("k{n}"), vec![b'x'; 1000], None).await.unwrap();
    }
    let (mut snapshot, mut bytes) = (client.snapshot().await.unwrap(), Vec::new());
    while let Some(part) = snapshot.message().await.unwrap() {
        assert!(!part.blob().is_empty());
        bytes.extend_from_slice(part.blob());
    }
    let file = server.dir.path().join("snapshot.db");
    std::fs::write(&file, bytes).unwrap();
    let entries = kube_store::testing::snapshot_entries(&file).unwrap();
    assert_eq!(entries[&b"key"[..]].len(), 100);
}
