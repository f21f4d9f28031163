//! Pods that have a node and wait for a permit plugin's word.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::pod::PodInfo;

/// No plugin may hold a pod back for longer, as upstream.
const MAX_WAIT: Duration = Duration::from_secs(15 * 60);

/// The pods held back by [`Permit`](crate::framework::Permit) plugins. Clones share them: a plugin that holds pods
/// back keeps one and lets them go from there, typically when the last member of a gang has its node.
#[derive(Debug, Clone, Default)]
pub struct WaitingPods {
    pods: Arc<Mutex<HashMap<Arc<str>, Entry>>>,
}

/// A pod that waits.
#[derive(Debug, Clone)]
pub struct WaitingPod {
    /// The pod.
    pub pod: Arc<PodInfo>,
    /// The node chosen for it.
    pub node: Arc<str>,
    /// The plugins whose word it waits for.
    pub pending: Vec<&'static str>,
}

/// Why a waiting pod may not be bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    pub(super) plugin: &'static str,
    pub(super) reason: String,
}

#[derive(Debug)]
struct Entry {
    pod: Arc<PodInfo>,
    node: Arc<str>,
    pending: Vec<(&'static str, Instant)>,
    verdict: oneshot::Sender<Result<(), Rejection>>,
}

/// A waiting pod's end of the matter.
#[derive(Debug)]
pub(super) struct Waiter {
    pods: WaitingPods,
    key: Arc<str>,
    uid: Arc<str>,
    verdict: oneshot::Receiver<Result<(), Rejection>>,
}

impl WaitingPods {
    /// The pods that wait, in the order of their keys.
    #[must_use]
    pub fn list(&self) -> Vec<WaitingPod> {
        let pods = self.pods.lock();
        let mut list: Vec<_> = pods
            .values()
            .map(|entry| WaitingPod {
                pod: Arc::clone(&entry.pod),
                node: Arc::clone(&entry.node),
                pending: entry.pending.iter().map(|(plugin, _)| *plugin).collect(),
            })
            .collect();
        list.sort_unstable_by(|a, b| a.pod.key.cmp(&b.pod.key));
        list
    }

    pub(super) fn len(&self) -> usize {
        self.pods.lock().len()
    }

    /// `plugin` lets the pod with this key go; it is bound once no other plugin holds it. Returns whether it waited for that.
    pub fn allow(&self, key: &str, plugin: &str) -> bool {
        let mut pods = self.pods.lock();
        let Some(entry) = pods.get_mut(key) else { return false };
        let before = entry.pending.len();
        entry.pending.retain(|(other, _)| *other != plugin);
        let waited = entry.pending.len() < before;
        if entry.pending.is_empty()
            && let Some(entry) = pods.remove(key)
        {
            // Nobody listens when the binding was given up.
            _ = entry.verdict.send(Ok(()));
        }
        waited
    }

    /// `plugin` refuses the pod with this key: it leaves its node and is scheduled again later. Returns whether it waited.
    pub fn reject(&self, key: &str, plugin: &'static str, reason: impl Into<String>) -> bool {
        let Some(entry) = self.pods.lock().remove(key) else { return false };
        _ = entry.verdict.send(Err(Rejection { plugin, reason: reason.into() }));
        true
    }

    /// Makes a pod wait for the word of these plugins, each for so long at most.
    pub(super) fn add(
        &self,
        pod: Arc<PodInfo>,
        node: Arc<str>,
        plugins: &[(&'static str, Duration)],
        now: Instant,
    ) -> Waiter {
        let (verdict, receiver) = oneshot::channel();
        let pending = plugins.iter().map(|(plugin, limit)| (*plugin, now + (*limit).min(MAX_WAIT))).collect();
        let (key, uid) = (Arc::clone(&pod.key), Arc::clone(&pod.uid));
        self.pods.lock().insert(Arc::clone(&key), Entry { pod, node, pending, verdict });
        Waiter { pods: self.clone(), key, uid, verdict: receiver }
    }

    /// The plugin whose patience ends first, and when.
    fn deadline(&self, key: &str) -> Option<(&'static str, Instant)> {
        let pods = self.pods.lock();
        pods.get(key)?.pending.iter().copied().min_by_key(|(_, until)| *until)
    }
}

impl Waiter {
    /// Waits for the last word, or until a plugin's patience ends.
    pub(super) async fn wait(mut self) -> Result<(), Rejection> {
        let name = self.key.rsplit('/').next().unwrap_or_default().to_owned();
        let failed = |plugin, cause: &str| Rejection {
            plugin,
            reason: format!("pod {name:?} rejected while waiting on permit: {cause}"),
        };
        loop {
            let Some((plugin, until)) = self.pods.deadline(&self.key) else {
                return (&mut self.verdict).await.unwrap_or_else(|_| Err(failed("", "replaced")));
            };
            tokio::select! {
                biased;
                verdict = &mut self.verdict => return verdict.unwrap_or_else(|_| Err(failed("", "replaced"))),
                () = sleep_until(until) => {}
            }
            // The plugin may have spoken since, and another one be waited for.
            if self.pods.deadline(&self.key) == Some((plugin, until)) {
                self.pods.reject(&self.key, plugin, failed(plugin, "timeout").reason);
            }
        }
    }
}

impl Drop for Waiter {
    /// A binding that is given up waits no more; a pod of the same name that came after it does.
    fn drop(&mut self) {
        let mut pods = self.pods.pods.lock();
        if pods.get(&self.key).is_some_and(|entry| entry.pod.uid == self.uid) {
            pods.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;

    fn pod(name: &str) -> Arc<PodInfo> {
        let pod = json!({"metadata": {"name": name, "namespace": "ns", "uid": name}});
        Arc::new(PodInfo::parse(serde_json::from_value::<Pod>(pod).unwrap()).unwrap())
    }

    fn wait(waiting: &WaitingPods, seconds: &[(&'static str, u64)]) -> Waiter {
        let limits: Vec<_> = seconds.iter().map(|(name, s)| (*name, Duration::from_secs(*s))).collect();
        waiting.add(pod("p"), "n".into(), &limits, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn every_plugin_has_to_let_go() {
        let waiting = WaitingPods::default();
        let waiter = tokio::spawn(wait(&waiting, &[("A", 10), ("B", 10)]).wait());
        assert_eq!(waiting.list()[0].pending, ["A", "B"]);
        assert!(waiting.allow("ns/p", "A"));
        assert!(!waiting.allow("ns/p", "A"), "once is enough");
        assert_eq!(waiting.list()[0].pending, ["B"]);
        assert!(waiting.allow("ns/p", "B"));
        assert_eq!(waiter.await.unwrap(), Ok(()));
        assert!(waiting.list().is_empty());
        assert!(!waiting.allow("ns/p", "B") && !waiting.reject("ns/p", "B", "too late"));
    }

    #[tokio::test(start_paused = true)]
    async fn one_refusal_is_enough() {
        let waiting = WaitingPods::default();
        let waiter = wait(&waiting, &[("A", 10), ("B", 10)]);
        assert!(waiting.reject("ns/p", "B", "no"));
        assert_eq!(waiter.wait().await, Err(Rejection { plugin: "B", reason: "no".into() }));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let waiting = WaitingPods::default();
        let start = Instant::now();
        let rejection = wait(&waiting, &[("A", 10), ("B", 3600)]).wait().await.unwrap_err();
        assert_eq!(rejection.plugin, "A");
        assert_eq!(rejection.reason, "pod \"p\" rejected while waiting on permit: timeout");
        assert_eq!(start.elapsed().as_secs(), 10);
        let waiter = tokio::spawn(wait(&waiting, &[("A", 10), ("B", 3600)]).wait());
        waiting.allow("ns/p", "A");
        assert_eq!(waiter.await.unwrap().unwrap_err().plugin, "B");
        assert_eq!(start.elapsed().as_secs(), 910, "nobody may wait longer than 15 minutes");
    }
}
