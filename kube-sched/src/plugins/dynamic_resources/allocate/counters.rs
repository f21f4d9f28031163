//! Counters that the devices of a pool share, such as the slices of a card that its partitions are made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::snapshot::{Counters, Device, Pool};

/// What is left of a pool's counters.
#[derive(Debug)]
pub(super) struct Left(Counters);

impl Left {
    /// What the devices that are taken leave.
    pub(super) fn of(pool: &Pool, taken: Option<&BTreeMap<Arc<str>, u32>>) -> Self {
        let mut left = pool.counters().clone();
        let devices = pool.slices().flat_map(|slice| &slice.devices);
        for device in devices.filter(|device| taken.is_some_and(|taken| taken.contains_key(&device.name))) {
            for (name, amount) in &device.consumes {
                if let Some(left) = left.get_mut(name) {
                    *left = left.saturating_sub(*amount);
                }
            }
        }
        Self(left)
    }

    /// Takes what a device needs, if there is enough of everything. There is nothing of a counter that does not exist.
    pub(super) fn take(&mut self, device: &Device) -> bool {
        let enough =
            device.consumes.iter().all(|(name, amount)| self.0.get(name).is_some_and(|left| left >= amount));
        if enough {
            self.shift(device, -1);
        }
        enough
    }

    pub(super) fn give_back(&mut self, device: &Device) {
        self.shift(device, 1);
    }

    fn shift(&mut self, device: &Device, sign: i128) {
        for (name, amount) in &device.consumes {
            if let Some(left) = self.0.get_mut(name) {
                *left = left.saturating_add(amount.saturating_mul(sign));
            }
        }
    }
}
