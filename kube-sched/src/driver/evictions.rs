//! Who waits for which pods to go.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::pod::PodInfo;

/// The evictions that have been decided on and are not known to have begun. A pod that goes makes room for one other only, so this is
/// bounded by the number of pods.
#[derive(Debug, Default)]
pub(super) struct Evictions {
    /// The victims of each pod that is to take their place.
    victims: HashMap<Arc<str>, HashSet<Arc<str>>>,
    /// Each victim's UID, and the pod that is to take its place.
    by: HashMap<Arc<str>, (Arc<str>, Arc<str>)>,
}

impl Evictions {
    /// These victims make room for the pod, and for nobody else; returns the pods for which none is left.
    pub(super) fn begin<'a>(
        &mut self,
        preemptor: &Arc<str>,
        victims: impl Iterator<Item = &'a Arc<PodInfo>>,
    ) -> Vec<Arc<str>> {
        self.forget(preemptor);
        let mut released = Vec::new();
        for victim in victims {
            released.extend(self.ended(&victim.key));
            self.by.insert(Arc::clone(&victim.key), (Arc::clone(&victim.uid), Arc::clone(preemptor)));
            self.victims.entry(Arc::clone(preemptor)).or_default().insert(Arc::clone(&victim.key));
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
    pub(super) fn ended(&mut self, victim: &str) -> Option<Arc<str>> {
        let (_, preemptor) = self.by.remove(victim)?;
        let left = self.victims.get_mut(&preemptor)?;
        left.remove(victim);
        if !left.is_empty() {
            return None;
        }
        self.victims.remove(&preemptor);
        Some(preemptor)
    }

    /// The victim stays; returns the pod that has waited for it and need not wait for the others either.
    pub(super) fn failed(&mut self, victim: &str) -> Option<Arc<str>> {
        let (_, preemptor) = self.by.get(victim)?;
        let preemptor = Arc::clone(preemptor);
        self.forget(&preemptor);
        Some(preemptor)
    }

    /// The pod waits for nobody any more.
    pub(super) fn forget(&mut self, preemptor: &str) {
        for victim in self.victims.remove(preemptor).into_iter().flatten() {
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

    fn victim(name: &str) -> Arc<PodInfo> {
        pod(name, name, json!({}), "Running")
    }

    #[test]
    fn the_last_victim_ends_the_wait() {
        let mut evictions = Evictions::default();
        assert!(evictions.begin(&"ns/p".into(), [victim("a"), victim("b")].iter()).is_empty());
        assert!(evictions.awaits("ns/p") && !evictions.awaits("ns/a"));
        assert_eq!(evictions.ended("ns/a"), None);
        assert_eq!(evictions.ended("ns/a"), None, "once is enough");
        assert_eq!(evictions.ended("ns/b").as_deref(), Some("ns/p"));
        assert!(!evictions.awaits("ns/p"));
        assert!(evictions.by.is_empty() && evictions.victims.is_empty());
    }

    #[test]
    fn a_victim_goes_for_one_pod_only() {
        let mut evictions = Evictions::default();
        evictions.begin(&"ns/p".into(), [victim("a"), victim("b")].iter());
        assert!(evictions.begin(&"ns/q".into(), [victim("a")].iter()).is_empty());
        assert_eq!(evictions.begin(&"ns/r".into(), [victim("b")].iter()), ["ns/p".into()]);
        assert_eq!(evictions.ended("ns/a").as_deref(), Some("ns/q"));
        // A second decision takes the place of the first.
        evictions.begin(&"ns/r".into(), [victim("c")].iter());
        assert_eq!(evictions.ended("ns/b"), None);
        assert_eq!(evictions.failed("ns/c").as_deref(), Some("ns/r"));
        assert!(evictions.by.is_empty() && evictions.victims.is_empty());
    }

    #[test]
    fn a_victim_that_goes_or_has_a_successor_is_told_from_one_that_stays() {
        let mut evictions = Evictions::default();
        evictions.begin(&"ns/p".into(), [victim("a")].iter());
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
