//! A client for the Kubernetes Container Runtime Interface (CRI v1) over gRPC.
