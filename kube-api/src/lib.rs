//! The Kubernetes API server as a tower service.

pub mod pki;
