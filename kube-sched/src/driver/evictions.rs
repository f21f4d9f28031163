//! Who waits for which pods to go.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;

use crate::pod::PodInfo;

/// The evictions that have been decided on and are not known to have begun. A pod that goes makes room for one other only, so this is
/// bounded by the number of pods.
#[derive(Debug, Default)]
pub(super) struct Evictions {
    /// The victims of each pod that is to take their place.
    victims: HashMap<Arc<str>, Awaited>,
    /// Each victim's UID, and the pod that is to take its place.
    by: HashMap<Arc<str>, (Arc<str>, Arc<str>)>,
}

/// The victims that a pod waits for.
#[derive(Debug)]
struct Awaited {
    victims: HashSet<Arc<str>>,
    since: Instant,
}

/// A wait that is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) preemptor: Arc<str>,
    /// When it began.
    pub(super) since: Instant,
}

impl Evictions {
    /// These victims make room for the pod, and for nobody else; returns the pods for which none is left.
    pub(super) fn begin<'a>(
        &mut self,
        preemptor: &Arc<str>,
        victims: impl Iterator<Item = &'a Arc<PodInfo>>,
        now: Instant,
    ) -> Vec<Ended> {
        self.forget(preemptor);
        let mut released = Vec::new();
        for victim in victims {
            released.extend(self.ended(&victim.key));
            self.by.insert(Arc::clone(&victim.key), (Arc::clone(&victim.uid), Arc::clone(preemptor)));
            let awaited = || Awaited { victims: HashSet::new(), since: now };
            let awaited = self.victims.entry(Arc::clone(preemptor)).or_insert_with(awaited);
            awaited.victims.insert(Arc::clone(&victim.key));
        }
        released
    }

    /// Whether the pod waits for victims to go.
    pub(super) fn awaits(&self, preemptor: &str) -> bool {
        self.victims.contains_key(preemptor)
    }

    /// Whether a pod that is like this now is a victim that is known to go, or the successor of one that has gone.
    pub(super) fn is_over(&self, pod: &PodInfo) -> bool {
        let victim = self.by.get(&pod.key);
        victim.is_some_and(|(uid, _)| pod.is_terminating() || pod.is_finished() || *uid != pod.uid)
    }

    /// The victim goes; returns the pod that it was the last one for.
    pub(super) fn ended(&mut self, victim: &str) -> Option<Ended> {
        let (_, preemptor) = self.by.remove(victim)?;
        let left = self.victims.get_mut(&preemptor)?;
        left.victims.remove(victim);
        if !left.victims.is_empty() {
            return None;
        }
        let since = self.victims.remove(&preemptor)?.since;
        Some(Ended { preemptor, since })
    }

    /// The victim stays; returns the pod that has waited for it and need not wait for the others either.
    pub(super) fn failed(&mut self, victim: &str) -> Option<Ended> {
        let (_, preemptor) = self.by.get(victim)?;
        let preemptor = Arc::clone(preemptor);
        let since = self.victims.get(&preemptor)?.since;
        self.forget(&preemptor);
        Some(Ended { preemptor, since })
    }

    /// The pod waits for nobody any more.
    pub(super) fn forget(&mut self, preemptor: &str) {
        let awaited = self.victims.remove(preemptor);
        for victim in awaited.into_iter().flat_map(|awaited| awaited.victims) {
            self.by.remove(&victim);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn pod(name: &str, uid: &str, metadata: Value, phase: &str) -> Arc<PodInfo> {
        let mut object =
            json!({"metadata": {"name": name, "namespace": "ns", "uid": uid}, "status": {"phase": phase}});
        for (field, value) in metadata.as_object().into_iter().flatten() {
            object["metadata"][field] = value.clone();
        }
        let object: k8s_openapi::api::core::v1::Pod = from_value(object).unwrap();
        Arc::new(PodInfo::parse(object).unwrap())
    }

    fn who(ended: Option<Ended>) -> Option<Arc<str>> {
        ended.map(|ended| ended.preemptor)
    }

    fn victim(name: &str) -> Arc<PodInfo> {
        pod(name, name, json!({}), "Running")
    }

    #[test]
    fn the_last_victim_ends_the_wait() {
        let (mut evictions, start) = (Evictions::default(), Instant::now());
        assert!(evictions.begin(&"ns/p".into(), [victim("a"), victim("b")].iter(), start).is_empty());
        assert!(evictions.awaits("ns/p") && !evictions.awaits("ns/a"));
        assert_eq!(evictions.ended("ns/a"), None);
        assert_eq!(evictions.ended("ns/a"), None, "once is enough");
        let ended = Ended { preemptor: "ns/p".into(), since: start };
        assert_eq!(evictions.ended("ns/b"), Some(ended));
        assert!(!evictions.awaits("ns/p"));
        assert!(evictions.by.is_empty() && evictions.victims.is_empty());
    }

    #[test]
    fn a_victim_goes_for_one_pod_only() {
        let (mut evictions, now) = (Evictions::default(), Instant::now());
        evictions.begin(&"ns/p".into(), [victim("a"), victim("b")].iter(), now);
        assert!(evictions.begin(&"ns/q".into(), [victim("a")].iter(), now).is_empty());
        let ended = evictions.begin(&"ns/r".into(), [victim("b")].iter(), now);
        assert_eq!(ended, [Ended { preemptor: "ns/p".into(), since: now }]);
        assert_eq!(who(evictions.ended("ns/a")).as_deref(), Some("ns/q"));
        // A second decision takes the place of the first.
        evictions.begin(&"ns/r".into(), [victim("c")].iter(), now);
        assert_eq!(evictions.ended("ns/b"), None);
        assert_eq!(who(evictions.failed("ns/c")).as_deref(), Some("ns/r"));
        assert!(evictions.by.is_empty() && evictions.victims.is_empty());
    }

    #[test]
    fn a_victim_that_goes_or_has_a_successor_is_told_from_one_that_stays() {
        let (mut evictions, now) = (Evictions::default(), Instant::now());
        evictions.begin(&"ns/p".into(), [victim("a")].iter(), now);
        let terminating = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        for (pod, expected) in [
            (victim("a"), false),
            (victim("b"), false),
            (pod("a", "a", terminating, "Running"), true),
            (pod("a", "a", json!({}), "Failed"), true),
            (pod("a", "z", json!({}), "Pending"), true),
        ] {
            assert_eq!(evictions.is_over(&pod), expected, "{pod:?}");
        }
    }
}
