//! The Kubernetes API server as a tower service.

pub mod pki;
pub mod serve;
