//! A small random cluster, and pods that want a place in it: the same seed gives the same objects.

mod devices;
mod draw;
mod nodes;
mod pods;
mod profile;
mod selectors;
mod storage;
mod surroundings;

use serde_json::{Value, json};

use draw::Draw;

const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";
const HOST: &str = "kubernetes.io/hostname";
const ZONES: &[&str] = &["z0", "z1", "z2"];
const NAMESPACES: &[&str] = &["n0", "n1", "n2"];
const APPS: &[&str] = &["a", "b", "c"];
const IMAGES: &[&str] =
    &["registry.example.com/web:1", "registry.example.com/db", "small", "registry.example.com:5000/big"];

/// An object, where it is created, and what is patched once it is there since a creation does not take it over.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) path: String,
    pub(super) object: Value,
    pub(super) spec: Option<Value>,
    pub(super) status: Option<Value>,
}

impl Item {
    fn new(path: impl Into<String>, object: Value) -> Self {
        Self { path: path.into(), object, spec: None, status: None }
    }

    fn with_status(self, status: Value) -> Self {
        Self { status: Some(status), ..self }
    }
}

/// What of all there can be in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Theme {
    /// Resources, labels, taints, affinity and spreading.
    Pods,
    /// With volumes.
    Volumes,
    /// With devices.
    Devices,
    /// With priorities.
    Preemption,
    /// Each seed another one.
    All,
}

/// What both schedulers are shown.
#[derive(Debug)]
pub(super) struct World {
    /// Everything that is there before, in an order in which it can be created.
    pub(super) items: Vec<Item>,
    /// The pods that want a place, one after the other.
    pub(super) pods: Vec<Value>,
    /// The profiles of the configuration, as a list.
    pub(super) profiles: Value,
}

impl World {
    pub(super) fn new(seed: u64, theme: Theme, pods: usize) -> Self {
        let mut draw = Draw::new(seed);
        let theme = match theme {
            Theme::All => [Theme::Pods, Theme::Volumes, Theme::Devices, Theme::Preemption][draw.below(4)],
            theme => theme,
        };
        let most = if draw.chance(30) { 28 } else { 8 };
        let number = 3 + draw.below(most);
        let mut items = surroundings::items(&mut draw);
        items.extend((0..number).map(|at| nodes::node(&mut draw, at)));
        if theme == Theme::Volumes {
            items.extend(storage::items(&mut draw, number));
        }
        if theme == Theme::Devices {
            items.extend(devices::items(&mut draw, number));
        }
        let placed = draw.below(number * if theme == Theme::Preemption { 6 } else { 3 });
        items.extend((0..placed).map(|at| pods::placed(&mut draw, theme, at, number)));
        let pods = (0..pods).map(|at| pods::pending(&mut draw, theme, at)).collect();
        Self { items, pods, profiles: json!([profile::profile(&mut draw)]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_always_the_same_world() {
        for theme in [Theme::Pods, Theme::Volumes, Theme::Devices, Theme::Preemption] {
            let text = |seed| format!("{:?}", World::new(seed, theme, 20));
            assert_eq!(text(1), text(1));
            assert_ne!(text(1), text(2));
        }
    }
}
