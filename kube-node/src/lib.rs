//! The Kubernetes node agent: pod workers over runtime, network and storage seams.
