use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    agent::tests::api::FakeApi,
    runtime::fake::FakeRuntime,
    seam::{ContainerConfig, ContainerId, SandboxConfig},
};

struct Node {
    api: FakeApi,
    runtime: FakeRuntime,
    collector: Collector,
}

impl Node {
    fn new() -> Self {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
        let (api, runtime) = (FakeApi::new(clock), FakeRuntime::new(clock, Vec::new()));
        let config = Arc::new(Config { node_name: "n1".to_owned(), ..Config::default() });
        let (events, write) = Recorder::new(api.client(), clock, "n1".to_owned(), CancellationToken::new());
        tokio::spawn(write);
        let seen = BTreeMap::new();
        let collector = Collector { runtime: Arc::new(runtime.clone()), clock, config, events, seen };
        Self { api, runtime, collector }
    }

    /// Fetches images of one byte each.
    async fn fetch(&self, names: &[&str]) {
        for name in names {
            self.runtime.images().pull(name, None).await.unwrap();
        }
    }

    /// A round after a while, with a disk of 100 bytes that is so full.
    async fn round(&mut self, used: u64) {
        tokio::time::advance(Duration::from_secs(300)).await;
        self.collector.round(Left { free: 100 - used, all: 100 }).await.unwrap();
    }

    /// The tags of what is left.
    async fn left(&self) -> Vec<String> {
        let images = self.runtime.images().list().await.unwrap();
        images.into_iter().map(|image| image.repo_tags[0].rsplit('/').next().unwrap().to_owned()).collect()
    }

    async fn container(&self, image: &str) -> ContainerId {
        let sandbox = SandboxConfig::default();
        let id = self.runtime.run_sandbox(&sandbox).await.unwrap();
        let image = self.runtime.images().status(image).await.unwrap().unwrap().id;
        let config = ContainerConfig { name: "c".to_owned(), image, ..ContainerConfig::default() };
        self.runtime.create_container(&id, &config, &sandbox).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_loses_what_nobody_uses_until_it_is_less_full() {
    let mut node = Node::new();
    node.fetch(&["a", "b", "c"]).await;
    let container = node.container("a").await;
    node.round(80).await;
    node.fetch(&["d"]).await;
    node.round(84).await;
    assert_eq!(node.left().await.len(), 4, "there is room");
    node.round(85).await;
    // Five bytes have to go, and three are there; the one of the container stays.
    assert_eq!(node.left().await, ["a:latest"]);
    node.runtime.remove_container(&container).await.unwrap();
    node.fetch(&["e", "f"]).await;
    node.round(81).await;
    node.round(85).await;
    assert!(node.left().await.is_empty());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(node.api.event_count("FreeDiskSpaceFailed"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_unused_for_longest_goes_and_no_more_than_needed() {
    let mut node = Node::new();
    node.fetch(&["old"]).await;
    node.round(0).await;
    node.fetch(&["used", "young"]).await;
    let container = node.container("used").await;
    node.round(0).await;
    node.runtime.remove_container(&container).await.unwrap();
    let config = Config { image_gc_high_percent: 50, image_gc_low_percent: 49, ..Config::default() };
    node.collector.config = Arc::new(config);
    for (used, left) in [(50, vec!["used:latest", "young:latest"]), (50, vec!["used:latest"])] {
        node.round(used).await;
        assert_eq!(node.left().await, left);
    }
    assert_eq!(node.api.event_count("FreeDiskSpaceFailed"), 0);
}
