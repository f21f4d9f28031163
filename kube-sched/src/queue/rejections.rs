//! Counting the pods that each plugin keeps from being placed.

use std::collections::BTreeMap;

/// A plugin of a profile, and the pods in the queue that it refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// The profile's place among the queue's.
    pub profile: usize,
    /// The plugin.
    pub plugin: &'static str,
    /// How many pods; a pod counts for each plugin that refused it.
    pub pods: usize,
}

/// Bounded by the number of profiles and plugins.
#[derive(Debug, Default)]
pub(super) struct Rejections {
    pods: BTreeMap<(usize, &'static str), usize>,
    changed: bool,
}

impl Rejections {
    /// A pod that these plugins refused enters the queue.
    pub(super) fn enter(&mut self, profile: usize, plugins: &[&'static str]) {
        for plugin in plugins {
            *self.pods.entry((profile, plugin)).or_default() += 1;
            self.changed = true;
        }
    }

    /// It leaves.
    pub(super) fn leave(&mut self, profile: usize, plugins: &[&'static str]) {
        for plugin in plugins {
            if let Some(pods) = self.pods.get_mut(&(profile, *plugin)) {
                *pods = pods.saturating_sub(1);
                self.changed = true;
            }
        }
    }

    /// All of them, also those that are none any more, if something has changed since the last call.
    pub(super) fn take_changed(&mut self) -> impl Iterator<Item = Rejection> {
        let changed = std::mem::take(&mut self.changed);
        let all = self.pods.iter().filter(move |_| changed);
        all.map(|((profile, plugin), pods)| Rejection { profile: *profile, plugin, pods: *pods })
    }
}
