//! Sandboxes that do not live long, or cannot be made.

use futures::StreamExt;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::*;
use crate::seam::{RuntimeEventKind, SandboxId, SandboxState, SandboxStatus};

impl Cluster {
    async fn sandboxes(&self) -> Vec<SandboxStatus> {
        self.runtime.sandboxes(&SandboxFilter::default()).await.expect("sandboxes")
    }

    /// Stops every sandbox as soon as it is there; after how many seconds each was made.
    fn kill_sandboxes(&self) -> (Arc<Mutex<Vec<i64>>>, JoinHandle<()>) {
        let made = Arc::new(Mutex::new(Vec::new()));
        let (runtime, log, began) = (self.runtime.clone(), Arc::clone(&made), self.clock.now());
        let mut events = runtime.events();
        let killer = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let RuntimeEventKind::SandboxChanged(id) = event.kind else { continue };
                let found = runtime.sandboxes(&SandboxFilter { id: Some(id), ..Default::default() }).await;
                for ready in found.expect("sandboxes").iter().filter(|s| s.state == SandboxState::Ready) {
                    log.lock().push(ready.created_at.duration_since(began).as_secs());
                    kill(&runtime, &ready.id).await;
                }
            }
        });
        (made, killer)
    }
}

async fn kill(runtime: &FakeRuntime, id: &SandboxId) {
    runtime.stop_sandbox(id).await.expect("it stops");
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_dies_at_once_is_made_again_ever_more_rarely() {
    let cluster = Cluster::new();
    let (made, killer) = cluster.kill_sandboxes();
    cluster.start();
    cluster.api.put("pods", pod("web", "Always", json!([{"name": "c", "image": "web"}])));
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(*made.lock(), [0, 0, 10], "once at once, then after 10 s");
    tokio::time::sleep(Duration::from_secs(1185)).await;
    assert_eq!(*made.lock(), [0, 0, 10, 30, 70, 150, 310, 610, 910], "doubling to 5 min");
    assert_eq!(cluster.api.event_count("SandboxChanged"), 8, "every time but the first");
    assert_eq!(cluster.sandboxes().await.len(), 1, "the dead ones do not pile up");
    killer.abort();
    cluster.until("web", "ready", |p| condition(p, "Ready")["status"] == "True").await;
    // A sandbox that has lived for long enough is worth another one at once.
    tokio::time::sleep(Duration::from_secs(700)).await;
    let died = cluster.clock.now();
    for old in cluster.sandboxes().await {
        kill(&cluster.runtime, &old.id).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let sandboxes = cluster.sandboxes().await;
    let is_new = |s: &SandboxStatus| s.created_at >= died && s.state == SandboxState::Ready;
    assert!(sandboxes.iter().any(is_new), "{sandboxes:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_cannot_be_made_is_tried_every_ten_seconds() {
    let mut cluster = Cluster::new();
    // Room for one pod.
    cluster.runtime = FakeRuntime::new(cluster.clock, vec!["10.1.0.0/30".parse().expect("a range")]);
    cluster.start();
    cluster.api.put("pods", pod("first", "Always", json!([{"name": "c", "image": "web"}])));
    cluster.until("first", "ready", |p| condition(p, "Ready")["status"] == "True").await;
    cluster.api.put("pods", pod("second", "Always", json!([{"name": "c", "image": "web"}])));
    tokio::time::sleep(Duration::from_secs(65)).await;
    assert_eq!(cluster.api.event_count("FailedCreatePodSandBox"), 7, "at 0, 10, 20, 30, 40, 50 and 60 s");
    cluster.api.delete("first", 0);
    let freed = tokio::time::Instant::now();
    cluster.until("second", "ready", |p| condition(p, "Ready")["status"] == "True").await;
    assert!(freed.elapsed() < Duration::from_secs(12), "{:?}", freed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_waits_for_a_sandbox_is_deleted_without_waiting() {
    let cluster = Cluster::new();
    let (made, _killer) = cluster.kill_sandboxes();
    cluster.start();
    cluster.api.put("pods", pod("web", "Always", json!([{"name": "c", "image": "web"}])));
    tokio::time::sleep(Duration::from_secs(100)).await;
    let before = made.lock().len();
    cluster.api.delete("web", 30);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(cluster.api.get("pods", "default", "web"), None);
    assert!(cluster.sandboxes().await.is_empty());
    assert_eq!(made.lock().len(), before);
}
