//! The Kubernetes API server as a tower service.

pub mod node;
pub mod pki;
pub mod serve;
pub mod token;
