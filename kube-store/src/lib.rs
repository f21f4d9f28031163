//! A versioned, watchable key-value store with etcd v3 semantics: memory, embedded and replicated.
