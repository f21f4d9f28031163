//! What many objects have in common, held once for all of them.
//!
//! Nothing here keeps anything alive, and what nobody else has any more is forgotten, so that this is bounded by what is there.

mod names;
mod sweep;
mod template;

pub use template::PodTemplate;

pub(crate) use names::Names;
pub(crate) use template::{Templates, remove_credentials};

/// What the objects of a cluster have in common.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Of pods.
    pub(crate) templates: Templates,
    /// Of images on nodes.
    pub(crate) names: Names,
}
