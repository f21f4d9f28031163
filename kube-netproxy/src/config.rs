//! Settings of the proxy.

use std::time::Duration;

use ipnet::IpNet;

use crate::{Error, Result};

/// Settings of rule compilation and of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name of the node this proxy serves; endpoints whose `nodeName` equals it are local. Default: empty, no endpoint is
    /// local.
    pub node_name: String,
    /// Address ranges of pods, any number per family. Traffic to a cluster IP from elsewhere is masqueraded, so that its
    /// answers find their way back through this node. Default: empty, only traffic that must be is masqueraded.
    pub cluster_cidrs: Vec<IpNet>,
    /// Masquerade all service traffic, whatever its source. Default: false.
    pub masquerade_all: bool,
    /// Bit of the packet mark that says "masquerade me" between the dataplane's hooks, 0 to 31. Default: 14.
    pub masquerade_bit: u8,
    /// Local addresses on which node ports are served; empty means every local address but those of the loopback range.
    /// Default: empty.
    pub node_port_addresses: Vec<IpNet>,
    /// Least time between two applications of changed rules; changes in between are gathered. A change after a quiet
    /// period is applied at once. Default: 10 ms.
    pub min_sync_period: Duration,
    /// Time after which a failed application is tried again. Default: 1 s.
    pub retry_period: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node_name: String::new(),
            cluster_cidrs: Vec::new(),
            masquerade_all: false,
            masquerade_bit: 14,
            node_port_addresses: Vec::new(),
            min_sync_period: Duration::from_millis(10),
            retry_period: Duration::from_secs(1),
        }
    }
}

impl Config {
    /// Says whether the values make sense.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the field.
    pub fn validate(&self) -> Result<()> {
        if self.masquerade_bit > 31 {
            return Err(Error::Invalid {
                field: "masquerade_bit",
                reason: format!("{} is not within 0 to 31", self.masquerade_bit),
            });
        }
        if self.retry_period.is_zero() {
            return Err(Error::Invalid { field: "retry_period", reason: "must be more than zero".into() });
        }
        Ok(())
    }
}
