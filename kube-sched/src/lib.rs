//! The Kubernetes scheduler as a pure function, with a driver around it.
