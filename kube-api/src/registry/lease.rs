//! Leases that let events expire.

use std::time::Duration;

use kube_store::{LeaseRequest, LeaseResponse};
use tokio::time::Instant;

use super::Registry;
use crate::error::{Error, Result};

/// Events written within this time share a lease.
const SHARED: Duration = Duration::from_secs(60);

impl Registry {
    /// The lease of an event that is written now.
    pub(super) async fn event_lease(&self) -> Result<i64> {
        let now = Instant::now();
        let current = *self.event_lease.lock();
        if let Some((id, until)) = current
            && now < until
        {
            return Ok(id);
        }
        let ttl = self.config.event_ttl + SHARED;
        match self.store.lease(LeaseRequest::Grant { ttl, id: 0 }).await? {
            LeaseResponse::Granted { id, .. } => {
                *self.event_lease.lock() = Some((id, now + SHARED));
                Ok(id)
            }
            _ => Err(Error::internal("the store answered another operation than was asked")),
        }
    }
}
