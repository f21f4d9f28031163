//! Leases, and the locks and elections that need them.

use etcd_client::{
    Client, Error, GetOptions, LeaseGrantOptions, LeaseTimeToLiveOptions, LockOptions, ProclaimOptions,
    PutOptions, ResignOptions,
};

use super::{Server, found, refusal};

async fn lease(client: &mut Client) -> i64 {
    client.lease_grant(600, None).await.unwrap().id()
}

/// Waits until so many keys begin with this.
async fn wait_for(client: &mut Client, prefix: &str, keys: i64) {
    let count = Some(GetOptions::new().with_prefix().with_count_only());
    while client.get(prefix, count.clone()).await.unwrap().count() != keys {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_lease_takes_its_keys_along() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let granted = client.lease_grant(600, Some(LeaseGrantOptions::new().with_id(42))).await.unwrap();
    assert_eq!((granted.id(), granted.ttl()), (42, 600));
    let again = client.lease_grant(600, Some(LeaseGrantOptions::new().with_id(42))).await;
    assert_eq!(refusal(again), "etcdserver: lease already exists");
    let other = lease(&mut client).await;
    client.put("leased", "1", Some(PutOptions::new().with_lease(42))).await.unwrap();
    let lives = client.lease_time_to_live(42, Some(LeaseTimeToLiveOptions::new().with_keys())).await.unwrap();
    assert_eq!((lives.granted_ttl(), lives.keys()), (600, &[b"leased".to_vec()][..]));
    assert!((500..=600).contains(&lives.ttl()), "{}", lives.ttl());
    let mut all: Vec<_> = client.leases().await.unwrap().leases().iter().map(|lease| lease.id()).collect();
    all.sort_unstable();
    let mut wanted = vec![42, other];
    wanted.sort_unstable();
    assert_eq!(all, wanted);
    let (mut keeper, mut kept) = client.lease_keep_alive(42).await.unwrap();
    keeper.keep_alive().await.unwrap();
    let answer = kept.message().await.unwrap().unwrap();
    assert_eq!((answer.id(), answer.ttl()), (42, 600));
    client.lease_revoke(42).await.unwrap();
    assert_eq!(client.get("leased", None).await.unwrap().count(), 0);
    assert_eq!(client.lease_time_to_live(42, None).await.unwrap().ttl(), -1);
    assert_eq!(refusal(client.lease_revoke(42).await), "etcdserver: requested lease not found");
    let late = client.lease_keep_alive(42).await;
    assert!(matches!(late, Err(Error::LeaseKeepAliveError(_))), "{:?}", late.err());
    let put = client.put("leased", "1", Some(PutOptions::new().with_lease(42))).await;
    assert_eq!(refusal(put), "etcdserver: requested lease not found");
}

#[tokio::test]
async fn a_lock_is_handed_on() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let (first, second) = (lease(&mut client).await, lease(&mut client).await);
    let held = client.lock("l", Some(LockOptions::new().with_lease(first))).await.unwrap();
    assert_eq!(held.key(), format!("l/{first:x}").as_bytes());
    let mut other = client.clone();
    let waiting =
        tokio::spawn(async move { other.lock("l", Some(LockOptions::new().with_lease(second))).await });
    wait_for(&mut client, "l/", 2).await;
    assert!(!waiting.is_finished());
    client.unlock(held.key()).await.unwrap();
    let held = waiting.await.unwrap().unwrap();
    assert_eq!(held.key(), format!("l/{second:x}").as_bytes());
    client.unlock(held.key()).await.unwrap();
    // Without a lease it is given one.
    let held = client.lock("l", None).await.unwrap();
    assert_ne!(client.get(held.key(), None).await.unwrap().kvs()[0].lease(), 0);
}

#[tokio::test]
async fn an_election_goes_on_when_the_leader_resigns() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let (first, second) = (lease(&mut client).await, lease(&mut client).await);
    assert_eq!(refusal(client.leader("e").await), "election: no leader");
    let one = client.campaign("e", "one", first).await.unwrap().take_leader().unwrap();
    assert_eq!((one.name(), one.lease(), one.key()), (&b"e"[..], first, format!("e/{first:x}").as_bytes()));
    let mut observed = client.observe("e").await.unwrap();
    let mut said = async || {
        let leader = observed.message().await.unwrap().unwrap();
        leader.kv().unwrap().value_str().unwrap().to_owned()
    };
    assert_eq!(said().await, "one");
    client.proclaim("more", Some(ProclaimOptions::new().with_leader(one.clone()))).await.unwrap();
    assert_eq!(said().await, "more");
    let mut other = client.clone();
    let waiting = tokio::spawn(async move { other.campaign("e", "two", second).await });
    wait_for(&mut client, "e/", 2).await;
    assert_eq!(client.leader("e").await.unwrap().kv().unwrap().value(), b"more");
    let resigned = client.resign(Some(ResignOptions::new().with_leader(one.clone()))).await.unwrap();
    assert!(resigned.header().is_some());
    let two = waiting.await.unwrap().unwrap().take_leader().unwrap();
    assert_eq!(said().await, "two");
    let late = client.proclaim("late", Some(ProclaimOptions::new().with_leader(one))).await;
    assert_eq!(refusal(late), "election: not leader");
    client.lease_revoke(second).await.unwrap();
    assert_eq!(found(&client.get(two.key(), None).await.unwrap()), [""; 0], "its key went with its lease");
}
