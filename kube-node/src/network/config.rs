//! The settings of the built-in network.

use std::path::PathBuf;

use ipnet::IpNet;

use crate::{Error, Result};

/// Settings of [`RoutedNetwork`](super::RoutedNetwork).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Where address leases are kept; made when missing. Must survive restarts of the agent, need not survive those of the machine.
    pub state_dir: PathBuf,
    /// Destinations that pods reach under their own address, normally the whole cluster's pod range. Default: none, so that only the
    /// node's own range is spared from masquerading.
    pub cluster_cidrs: Vec<IpNet>,
    /// Bytes of the largest packet. Default: 1500.
    pub mtu: u32,
    /// The network namespace that is the host's side, as a path. Default: the one of this process. Tests set it.
    pub host_netns: Option<PathBuf>,
    /// The nftables table, and the beginning of the host ends' names (at most 4 bytes of it). Default: `kube-pods`.
    pub name: String,
}

impl NetworkConfig {
    /// The defaults with leases in `state_dir`.
    #[must_use]
    pub fn new(state_dir: PathBuf) -> Self {
        Self {
            state_dir,
            cluster_cidrs: Vec::new(),
            mtu: 1500,
            host_netns: None,
            name: "kube-pods".to_owned(),
        }
    }

    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the field's name.
    pub fn validate(&self) -> Result<()> {
        if !(576..=65_535).contains(&self.mtu) {
            return Err(Error::Invalid(format!("mtu: {} is not between 576 and 65535", self.mtu)));
        }
        if self.name.is_empty() || !self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err(Error::Invalid(format!(
                "name: {:?} is not made of letters, digits and dashes",
                self.name
            )));
        }
        Ok(())
    }
}
