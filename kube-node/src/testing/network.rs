//! What every pod network has to pass.

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;

use crate::Error;
use crate::seam::{NetworkPlugin, PodNetwork, PodRef, SandboxId};

/// A pod network to examine.
#[derive(Clone)]
pub struct NetworkHarness {
    /// The plugin, which has no pods yet.
    pub plugin: Arc<dyn NetworkPlugin>,
    /// Two network namespaces, as paths, that are nobody else's.
    pub namespaces: [PathBuf; 2],
    /// The range of pod addresses to configure. Default: `10.98.0.0/24`.
    pub range: IpNet,
    /// Another one, to be told later. Default: `10.97.0.0/24`.
    pub next_range: IpNet,
}

impl std::fmt::Debug for NetworkHarness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetworkHarness").field("namespaces", &self.namespaces).finish_non_exhaustive()
    }
}

impl NetworkHarness {
    /// A harness with the default ranges.
    pub fn new(plugin: Arc<dyn NetworkPlugin>, namespaces: [impl Into<PathBuf>; 2]) -> Self {
        let range = |octet| IpNet::V4(ipnet::Ipv4Net::new_assert([10, octet, 0, 0].into(), 24));
        Self { plugin, namespaces: namespaces.map(Into::into), range: range(98), next_range: range(97) }
    }

    fn pods(&self) -> [PodNetwork; 2] {
        let pod = |index: usize| {
            let name = format!("conformance-{index}");
            PodNetwork {
                pod: PodRef {
                    namespace: "conformance".into(),
                    name: name.clone(),
                    uid: format!("uid-{index}"),
                },
                sandbox: SandboxId(name),
                netns: self.namespaces[index].clone(),
                interface: "eth0".into(),
                ..PodNetwork::default()
            }
        };
        [pod(0), pod(1)]
    }
}

/// Examines a pod network that has no pods yet, and leaves it so.
///
/// # Panics
/// When the plugin breaks the contract of [`NetworkPlugin`]; the message says where.
pub async fn network_suite(harness: &NetworkHarness) {
    harness.plugin.configure(&[harness.range]).await.unwrap();
    let ready = harness.plugin.ready().await.unwrap();
    assert!(ready.ready, "a configured network is ready: {ready:?}");
    what_was_not_added_is_not_there(harness).await;
    each_sandbox_gets_its_own_addresses(harness).await;
    adding_twice_is_adding_once(harness).await;
    what_is_in_use_survives_other_ranges(harness).await;
    the_namespace_may_be_gone(harness).await;
}

/// Takes everything back, twice.
async fn remove_all(harness: &NetworkHarness) {
    for pod in harness.pods().iter().chain(&harness.pods()) {
        harness.plugin.remove(pod).await.unwrap();
    }
    what_was_not_added_is_not_there(harness).await;
}

async fn what_was_not_added_is_not_there(harness: &NetworkHarness) {
    for pod in &harness.pods() {
        let checked = harness.plugin.check(pod).await;
        assert!(matches!(checked, Err(Error::Failed(_))), "a sandbox that was not added: {checked:?}");
        harness.plugin.remove(pod).await.unwrap();
    }
}

async fn each_sandbox_gets_its_own_addresses(harness: &NetworkHarness) {
    let [one, two] = harness.pods();
    let (first, second) = tokio::join!(harness.plugin.add(&one), harness.plugin.add(&two));
    let (first, second) = (first.unwrap(), second.unwrap());
    for status in [&first, &second] {
        let inside = |ip: &IpNet| harness.range.contains(&ip.addr());
        assert!(status.ips.iter().any(inside), "an address out of {}: {status:?}", harness.range);
    }
    let shared = first.ips.iter().any(|ip| second.ips.iter().any(|other| other.addr() == ip.addr()));
    assert!(!shared, "two sandboxes share no address: {first:?} {second:?}");
    harness.plugin.check(&one).await.unwrap();
    harness.plugin.remove(&one).await.unwrap();
    assert!(harness.plugin.check(&one).await.is_err(), "what was removed is not there");
    harness.plugin.check(&two).await.expect("the other one stays");
    remove_all(harness).await;
}

async fn adding_twice_is_adding_once(harness: &NetworkHarness) {
    let [pod, _] = harness.pods();
    let first = harness.plugin.add(&pod).await.unwrap();
    assert_eq!(harness.plugin.add(&pod).await.unwrap(), first, "adding again returns what was returned");
    harness.plugin.configure(&[harness.range]).await.unwrap();
    assert_eq!(harness.plugin.add(&pod).await.unwrap(), first, "also after hearing the same ranges again");
    remove_all(harness).await;
    harness.plugin.add(&pod).await.expect("a removed sandbox can be added again");
    remove_all(harness).await;
}

async fn what_is_in_use_survives_other_ranges(harness: &NetworkHarness) {
    let [old, new] = harness.pods();
    let first = harness.plugin.add(&old).await.unwrap();
    harness.plugin.configure(&[harness.next_range]).await.unwrap();
    harness.plugin.check(&old).await.expect("what is in use stays in use");
    assert_eq!(harness.plugin.add(&old).await.unwrap(), first, "and is what it was");
    let second = harness.plugin.add(&new).await.unwrap();
    let inside = second.ips.iter().any(|ip| harness.next_range.contains(&ip.addr()));
    assert!(inside, "new sandboxes get an address of the new range: {second:?}");
    remove_all(harness).await;
    harness.plugin.configure(&[harness.range]).await.unwrap();
}

async fn the_namespace_may_be_gone(harness: &NetworkHarness) {
    let [pod, _] = harness.pods();
    harness.plugin.add(&pod).await.unwrap();
    let gone = PodNetwork { netns: "/no/such/namespace".into(), ..pod };
    harness.plugin.remove(&gone).await.unwrap();
    remove_all(harness).await;
}
