//! Kubernetes service load balancing and cluster DNS, compiled to a dataplane.
