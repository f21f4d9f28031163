//! The networks there are to hand out.

use crate::{Error, Result};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// An IPv4 network divided into equal parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    base: u32,
    mask: u8,
    part: u8,
}

impl Pool {
    /// A pool of the networks with prefix length `part` within `cidr` (`address/length`).
    ///
    /// # Errors
    /// [`Error::Config`] if `cidr` is no IPv4 network or has no such parts.
    pub fn parse(cidr: &str, part: u8) -> Result<Self> {
        let wrong = Error::Config("the cluster CIDR is not an IPv4 network");
        let Some((address, mask)) = cidr.split_once('/') else { return Err(wrong) };
        let (Ok(address), Ok(mask)) = (address.parse::<Ipv4Addr>(), mask.parse::<u8>()) else {
            return Err(wrong);
        };
        if mask > 32 || part < mask || part > 32 || part - mask > 16 {
            return Err(Error::Config("the node mask must be 0 to 16 bits longer than the cluster's"));
        }
        let base = u32::from(address) & u32::MAX.checked_shl(32 - u32::from(mask)).unwrap_or(0);
        Ok(Self { base, mask, part })
    }

    /// The lowest network that is not taken.
    pub(super) fn first_free(&self, taken: &BTreeSet<String>) -> Option<String> {
        let count = 1u32 << (self.part - self.mask);
        (0..count).map(|number| self.network(number)).find(|network| !taken.contains(network))
    }

    fn network(&self, number: u32) -> String {
        let offset = number.checked_shl(32 - u32::from(self.part)).unwrap_or(0);
        format!("{}/{}", Ipv4Addr::from(self.base | offset), self.part)
    }
}
