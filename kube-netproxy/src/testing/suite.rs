//! What every dataplane has to pass.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::{
    Applied, Backend, Dataplane, Destination, Frontend, FrontendKey, Masquerade, Protocol, Ruleset,
    ServiceRules, Target,
};

/// Examines a dataplane that holds nothing yet, and leaves it empty.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use kube_netproxy::testing::{FakeDataplane, dataplane_suite};
/// dataplane_suite(&FakeDataplane::default()).await;
/// # });
/// ```
///
/// # Panics
/// When the dataplane breaks its contract; the message says where.
pub async fn dataplane_suite(dataplane: &dyn Dataplane) {
    let mut suite = Suite { dataplane, ruleset: Ruleset::default() };
    suite.cleanup("with nothing there").await;
    suite.starts_from_nothing().await;
    suite.applies_differences().await;
    suite.takes_another_ruleset().await;
    suite.starts_again_after_cleanup().await;
    suite.cleanup("at the end").await;
}

struct Suite<'a> {
    dataplane: &'a dyn Dataplane,
    ruleset: Ruleset,
}

const NOTHING: Applied = Applied { rebuilt: false, added: 0, removed: 0 };

impl Suite<'_> {
    #[expect(clippy::expect_used, reason = "a suite speaks by panicking")]
    async fn apply(&self, what: &str) -> Applied {
        self.dataplane
            .apply(&self.ruleset)
            .await
            .map_err(|error| format!("{what}: {error}"))
            .expect("applies")
    }

    #[expect(clippy::expect_used, reason = "a suite speaks by panicking")]
    async fn cleanup(&self, what: &str) {
        self.dataplane.cleanup().await.map_err(|error| format!("{what}: {error}")).expect("cleans up");
    }

    async fn starts_from_nothing(&mut self) {
        assert!(self.apply("an empty ruleset").await.rebuilt, "the first application rebuilds");
        assert_eq!(self.apply("nothing new").await, NOTHING, "the same ruleset changes nothing");
    }

    async fn applies_differences(&mut self) {
        self.ruleset.set("default/a", Some(service(1, &[1, 2])));
        self.ruleset.set("default/b", Some(service(2, &[])));
        let applied = self.apply("two services").await;
        assert!(!applied.rebuilt && applied.added >= 2 && applied.removed == 0, "two services: {applied:?}");
        assert_eq!(self.apply("nothing new").await, NOTHING, "the same ruleset changes nothing");

        self.ruleset.set("default/a", Some(service(1, &[2, 3])));
        let applied = self.apply("another endpoint").await;
        assert!(!applied.rebuilt && applied.added > 0, "another endpoint: {applied:?}");

        self.ruleset.set("default/a", None);
        let applied = self.apply("a service less").await;
        assert!(!applied.rebuilt && applied.removed > 0, "a service less: {applied:?}");
        assert_eq!(self.apply("nothing new").await, NOTHING, "the same ruleset changes nothing");
    }

    /// A clone is equal, but its history is unknown; the dataplane has to compare.
    async fn takes_another_ruleset(&mut self) {
        let mut other = self.ruleset.clone();
        other.set("default/c", Some(service(3, &[4])));
        other.set("default/b", None);
        self.ruleset = other;
        let applied = self.apply("another ruleset").await;
        assert!(applied.added > 0 && applied.removed > 0, "another ruleset: {applied:?}");
    }

    async fn starts_again_after_cleanup(&mut self) {
        self.cleanup("with rules there").await;
        let applied = self.apply("after cleaning up").await;
        assert!(applied.rebuilt && applied.added > 0, "after cleaning up: {applied:?}");
    }
}

/// A service on loopback addresses, so that any dataplane may bind or program it.
fn service(number: u8, endpoints: &[u8]) -> ServiceRules {
    let backend = |number: &u8| Backend { address: IpAddr::from([127, 127, 1, *number]), port: 8080 };
    let backends: Arc<[Backend]> = endpoints.iter().map(backend).collect();
    let target = if backends.is_empty() { Target::Reject } else { Target::Balance(backends) };
    let key = FrontendKey {
        destination: Destination::Address(IpAddr::from([127, 127, 0, number])),
        protocol: Protocol::Tcp,
        port: 18080,
    };
    let frontend = Frontend {
        service: format!("default/{number}:").into(),
        target,
        local: None,
        affinity: None,
        masquerade: Masquerade::Outside,
    };
    ServiceRules {
        frontends: BTreeMap::from([(key, Arc::new(frontend))]),
        local_endpoints: endpoints.iter().map(|number| IpAddr::from([127, 127, 1, *number])).collect(),
    }
}
