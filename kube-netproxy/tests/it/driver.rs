//! The driver between a cluster and a dataplane.

use std::sync::Arc;
use std::time::Duration;

use kube_netproxy::testing::{FakeDataplane, dataplane_suite};
use kube_netproxy::{Proxy, Status};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, shown};
use crate::objects::{config, named, service, slice};

struct Running {
    cluster: Cluster,
    dataplane: Arc<FakeDataplane>,
    status: watch::Receiver<Status>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<kube_netproxy::Result<()>>,
}

fn start(dataplane: Arc<FakeDataplane>) -> Running {
    let web = service(json!({"clusterIP": "10.96.0.10", "ports": [{"port": 80}]}));
    let both = slice("TCP", 8080, &["10.0.1.2", "10.0.2.2"]);
    let cluster = Cluster::new(vec![shown(&web, 1)], vec![shown(&both, 1)]);
    let proxy = Proxy::new(cluster.client(), dataplane.clone(), config());
    let (status, shutdown) = (proxy.status(), CancellationToken::new());
    let task = tokio::spawn(proxy.run(shutdown.clone()));
    Running { cluster, dataplane, status, shutdown, task }
}

impl Running {
    async fn synced(&mut self, times: u64) {
        let wait = self.status.wait_for(|status| status.syncs >= times);
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("in time").expect("running");
    }
}

#[tokio::test(start_paused = true)]
async fn applies_what_is_there_and_what_changes() {
    let mut running = start(Arc::default());
    running.synced(1).await;
    assert!(running.status.borrow().ready);
    let history = running.dataplane.history();
    assert_eq!((history.len(), history[0].rebuilt), (1, true), "nothing is applied before all is known");
    let backends = |running: &Running| {
        let frontends = running.dataplane.frontends();
        frontends.values().map(|frontend| frontend.target.backends().len()).collect::<Vec<_>>()
    };
    assert_eq!(backends(&running), [2]);

    running.cluster.send("MODIFIED", shown(&slice("TCP", 8080, &["10.0.1.2"]), 2));
    running.synced(2).await;
    assert_eq!(backends(&running), [1]);
    running
        .cluster
        .send("ADDED", shown(&named("two", json!({"clusterIP": "10.96.0.11", "ports": [{"port": 80}]})), 3));
    running.synced(3).await;
    assert_eq!(backends(&running), [1, 0]);
    running.cluster.send("DELETED", shown(&service(json!({})), 4));
    running.synced(4).await;
    assert_eq!(backends(&running), [0]);

    running.shutdown.cancel();
    running.task.await.expect("no panic").expect("no error");
}

#[tokio::test(start_paused = true)]
async fn tries_again_after_failures() {
    let dataplane = Arc::<FakeDataplane>::default();
    dataplane.fail(3);
    let mut running = start(dataplane);
    running.synced(1).await;
    assert_eq!(running.dataplane.frontends().len(), 1);
    assert_eq!(running.status.borrow().failures, 0);
    running.shutdown.cancel();
    running.task.await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn the_fake_passes_the_suite() {
    dataplane_suite(&FakeDataplane::default()).await;
}
