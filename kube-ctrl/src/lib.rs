//! Kubernetes controllers as pure plans, with one runner around them.
