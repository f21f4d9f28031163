//! The store that keeps nothing.

use async_trait::async_trait;

use crate::driver::Driver;
use crate::mvcc::State;
use crate::{
    Config, LeaseRequest, LeaseResponse, RangeRequest, RangeResponse, Result, Revision, Store, StoreStatus,
    TxnRequest, TxnResponse, WatchRequest, WatchStream,
};

/// A store in memory: for tests, simulations and whatever may be forgotten. Everything is done within the call, so with a
/// single-threaded runtime it is deterministic.
#[derive(Debug)]
pub struct MemoryStore(Driver);

impl MemoryStore {
    /// An empty store with the default limits. Call it within a tokio runtime; without one, leases do not end and history
    /// is not compacted by itself.
    pub fn new() -> Self {
        Self(Driver::start(State::new(false), Config::default()))
    }

    /// An empty store with these limits.
    pub fn with_config(config: Config) -> Result<Self> {
        config.validate()?;
        Ok(Self(Driver::start(State::new(false), config)))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

crate::driver::delegate!(MemoryStore);
