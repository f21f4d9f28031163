//! Which sandbox has which address: one file per address, named after it, so that taking one is one atomic system call and a restart
//! finds all of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::seam::PortMapping;
use crate::{Error, Result};

/// A lease's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    pub(super) sandbox: String,
    pub(super) ports: Vec<PortMapping>,
    /// The pod's way out: of the range that was the node's when the address was taken.
    pub(super) gateway: Ipv4Addr,
}

/// All leases.
#[derive(Debug)]
pub(super) struct Leases {
    dir: PathBuf,
    taken: BTreeMap<Ipv4Addr, Lease>,
    /// The address handed out last: the next ones are tried after it, so that an address rests before it is used again.
    last: u32,
}

impl Leases {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut taken = BTreeMap::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let Some(address) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
                continue;
            };
            // A half-written file is a lease whose `add` never ended: nobody has the address.
            match serde_json::from_slice(&fs::read(&path)?) {
                Ok(lease) => drop(taken.insert(address, lease)),
                Err(_) => fs::remove_file(&path)?,
            }
        }
        let last = taken.keys().last().copied().map_or(0, u32::from);
        Ok(Self { dir: dir.to_owned(), taken, last })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (IpAddr, &Lease)> {
        self.taken.iter().map(|(address, lease)| (IpAddr::V4(*address), lease))
    }

    pub(super) fn of(&self, sandbox: &str) -> Option<Ipv4Addr> {
        self.find(sandbox).map(|(address, _)| address)
    }

    fn find(&self, sandbox: &str) -> Option<(Ipv4Addr, &Lease)> {
        self.taken
            .iter()
            .find(|(_, lease)| lease.sandbox == sandbox)
            .map(|(address, lease)| (*address, lease))
    }

    /// The sandbox's address and gateway, new ones of `range` when it has none.
    pub(super) fn take(
        &mut self,
        range: Ipv4Net,
        sandbox: &str,
        ports: &[PortMapping],
    ) -> Result<(Ipv4Addr, Ipv4Addr)> {
        if let Some((address, lease)) = self.find(sandbox) {
            return Ok((address, lease.gateway));
        }
        let gateway = gateway(range);
        let lease = Lease { sandbox: sandbox.to_owned(), ports: ports.to_vec(), gateway };
        let address = self.free(range).ok_or_else(|| Error::Failed(format!("no free address in {range}")))?;
        let path = self.dir.join(address.to_string());
        let write = || File::create_new(&path)?.write_all(&serde_json::to_vec(&lease)?);
        write().map_err(Error::io(format!("write {}", path.display())))?;
        self.taken.insert(address, lease);
        self.last = address.into();
        Ok((address, gateway))
    }

    fn free(&self, range: Ipv4Net) -> Option<Ipv4Addr> {
        let (first, last) =
            (u32::from(range.network()).checked_add(2)?, u32::from(range.broadcast()).checked_sub(1)?);
        let after = self.last.saturating_add(1).clamp(first, last.max(first));
        (after..=last)
            .chain(first..after)
            .map(Ipv4Addr::from)
            .find(|address| !self.taken.contains_key(address))
    }

    pub(super) fn release(&mut self, sandbox: &str) -> Result<()> {
        let Some(address) = self.of(sandbox) else { return Ok(()) };
        let path = self.dir.join(address.to_string());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io(format!("remove {}", path.display()))(error))
            }
            _ => {
                self.taken.remove(&address);
                Ok(())
            }
        }
    }
}

/// The gateway of a range: its first address.
fn gateway(range: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(range.network()).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_used_up_one_by_one_and_never_twice() {
        let folder = tempfile::tempdir().unwrap();
        let range: Ipv4Net = "10.1.0.0/29".parse().unwrap();
        let mut leases = Leases::open(folder.path()).unwrap();
        let taken: Vec<_> =
            (2..7).map(|n| leases.take(range, &n.to_string(), &[]).unwrap().0.to_string()).collect();
        assert_eq!(taken, ["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"]);
        assert!(leases.take(range, "more", &[]).is_err());
        leases.release("3").unwrap();
        assert_eq!(leases.take(range, "more", &[]).unwrap().0.to_string(), "10.1.0.3");
    }

    #[test]
    fn a_second_take_is_the_first_ones_address_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let range: Ipv4Net = "10.1.0.0/24".parse().unwrap();
        let first = Leases::open(folder.path()).unwrap().take(range, "a", &[]).unwrap();
        let mut again = Leases::open(folder.path()).unwrap();
        assert_eq!(again.take(range, "a", &[]).unwrap(), first);
        assert_ne!(again.take(range, "b", &[]).unwrap(), first);
    }

    #[test]
    fn a_released_address_rests_before_it_is_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let range: Ipv4Net = "10.1.0.0/24".parse().unwrap();
        let mut leases = Leases::open(folder.path()).unwrap();
        leases.take(range, "a", &[]).unwrap();
        leases.release("a").unwrap();
        assert_eq!(leases.take(range, "b", &[]).unwrap().0.to_string(), "10.1.0.3");
    }

    #[test]
    fn a_half_written_lease_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("10.1.0.2"), "{").unwrap();
        assert_eq!(Leases::open(folder.path()).unwrap().iter().count(), 0);
    }
}
