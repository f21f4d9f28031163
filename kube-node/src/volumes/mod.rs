//! Volumes of pods, and the files that every pod has.
//!
//! A volume's directory is `<root>/pods/<uid>/volumes/kubernetes.io~<plugin>/<name>`, as upstream, so that tools that look there find it.

mod atomic;
mod claim;
mod collect;
mod dirs;
mod drivers;
mod local;
mod locks;
mod manager;
mod mounts;
mod notes;
mod ownership;
mod sources;
mod subpath;
mod teardown;
#[cfg(test)]
mod tests;
mod token;

pub(crate) use collect::references;
pub(crate) use dirs::PodDirs;
pub(crate) use manager::{Mounted, VolumeManager};
pub(crate) use mounts::container_mounts;
