//! Leader election over the fake API.

use super::fake::Fake;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use kube_ctrl::Clock;
use kube_ctrl::leader::{self, Ended, LeaderConfig};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

struct Candidates {
    client: kube::Client,
    clock: Clock,
    leading: Arc<Mutex<Vec<&'static str>>>,
}

impl Candidates {
    fn new() -> Self {
        let clock = Clock::anchored("2026-01-01T00:00:00Z".parse().unwrap());
        Self { client: Fake::new(clock).client(), clock, leading: Arc::default() }
    }

    fn add(&self, identity: &'static str) -> (CancellationToken, tokio::task::JoinHandle<Ended>) {
        let (shutdown, leading) = (CancellationToken::new(), self.leading.clone());
        let config = LeaderConfig { identity: identity.into(), clock: self.clock, ..LeaderConfig::default() };
        let (client, token) = (self.client.clone(), shutdown.clone());
        let task = tokio::spawn(async move {
            let lead = |token: CancellationToken| async move {
                leading.lock().push(identity);
                token.cancelled().await;
                leading.lock().retain(|leader| *leader != identity);
            };
            leader::run(client, config, token, lead).await.unwrap()
        });
        (shutdown, task)
    }

    async fn lease(&self) -> (String, i32) {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), "kube-system");
        let spec = leases.get("kube-controller-manager").await.unwrap().spec.unwrap();
        (spec.holder_identity.unwrap(), spec.lease_transitions.unwrap())
    }

    fn leading(&self) -> Vec<&'static str> {
        self.leading.lock().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_hands_over_at_once_when_it_stops() {
    let candidates = Candidates::new();
    let (stop, first) = candidates.add("first");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let _second = candidates.add("second");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(candidates.leading(), ["first"]);
    assert_eq!(candidates.lease().await, ("first".into(), 0));

    stop.cancel();
    assert_eq!(first.await.unwrap(), Ended::Shutdown);
    assert_eq!(candidates.lease().await.0, "");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(candidates.leading(), ["second"]);
    assert_eq!(candidates.lease().await, ("second".into(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_crashed_leader_is_succeeded_after_the_lease_duration() {
    let candidates = Candidates::new();
    let (_, first) = candidates.add("first");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let _second = candidates.add("second");
    tokio::time::sleep(Duration::from_secs(30)).await;
    first.abort();
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(candidates.lease().await.0, "first");
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(candidates.lease().await, ("second".into(), 1));
}
