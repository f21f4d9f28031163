//! Amounts of resources, the common four inline and the rest by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{milli_value, value};
use crate::Error;

/// The four resources every node has, as integers; small enough to be copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// CPU in thousandths of a core.
    pub milli_cpu: i64,
    /// Memory in bytes.
    pub memory: i64,
    /// Ephemeral storage in bytes.
    pub ephemeral_storage: i64,
    /// Number of pods.
    pub pods: i64,
}

impl Amounts {
    /// Adds `other` `sign` times; saturates.
    pub(crate) fn add(&mut self, other: &Self, sign: i64) {
        let pairs = [
            (&mut self.milli_cpu, other.milli_cpu),
            (&mut self.memory, other.memory),
            (&mut self.ephemeral_storage, other.ephemeral_storage),
            (&mut self.pods, other.pods),
        ];
        for (target, amount) in pairs {
            *target = target.saturating_add(amount.saturating_mul(sign));
        }
    }
}

/// Amounts of any resources: the common four and all others (extended, huge pages, attachable volumes) by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU, memory, ephemeral storage and pods.
    pub base: Amounts,
    /// Everything else, sorted by name, in whole units.
    pub extended: Vec<(Arc<str>, i64)>,
}

impl Resources {
    /// Parses a Kubernetes resource list.
    ///
    /// # Errors
    /// [`Error::Quantity`] when a quantity is malformed.
    pub fn parse(list: &BTreeMap<String, Quantity>) -> Result<Self, Error> {
        let mut resources = Self::default();
        for (name, quantity) in list {
            let amount = if name == "cpu" { milli_value(&quantity.0)? } else { value(&quantity.0)? };
            *resources.slot(name) = amount;
        }
        Ok(resources)
    }

    /// The amount of the resource called `name` (thousandths for `cpu`), zero when there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> i64 {
        match name {
            "cpu" => self.base.milli_cpu,
            "memory" => self.base.memory,
            "ephemeral-storage" => self.base.ephemeral_storage,
            "pods" => self.base.pods,
            _ => amount_of(&self.extended, name),
        }
    }

    /// Whether nothing but pods is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Amounts { milli_cpu, memory, ephemeral_storage, .. } = self.base;
        milli_cpu == 0 && memory == 0 && ephemeral_storage == 0 && self.extended.is_empty()
    }

    pub(crate) fn slot(&mut self, name: &str) -> &mut i64 {
        match name {
            "cpu" => &mut self.base.milli_cpu,
            "memory" => &mut self.base.memory,
            "ephemeral-storage" => &mut self.base.ephemeral_storage,
            "pods" => &mut self.base.pods,
            _ => extended_slot(&mut self.extended, name),
        }
    }

    /// Adds every amount of `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        self.base.add(&other.base, 1);
        add_extended(&mut self.extended, &other.extended, 1);
    }

    /// Takes the larger amount of each resource.
    pub(crate) fn max(&mut self, other: &Self) {
        let base = &mut self.base;
        base.milli_cpu = base.milli_cpu.max(other.base.milli_cpu);
        base.memory = base.memory.max(other.base.memory);
        base.ephemeral_storage = base.ephemeral_storage.max(other.base.ephemeral_storage);
        base.pods = base.pods.max(other.base.pods);
        for (name, amount) in &other.extended {
            let slot = self.slot(name);
            *slot = (*slot).max(*amount);
        }
    }
}

/// The amount of `name` in a sorted list of extended resources.
#[must_use]
pub(crate) fn amount_of(extended: &[(Arc<str>, i64)], name: &str) -> i64 {
    extended.iter().find(|(other, _)| &**other == name).map_or(0, |(_, amount)| *amount)
}

fn extended_slot<'a>(extended: &'a mut Vec<(Arc<str>, i64)>, name: &str) -> &'a mut i64 {
    let index = match extended.binary_search_by(|(other, _)| (**other).cmp(name)) {
        Ok(index) => index,
        Err(index) => {
            extended.insert(index, (name.into(), 0));
            index
        }
    };
    &mut extended[index].1
}

/// Adds `other` `sign` times to `extended` and drops what became zero.
pub(crate) fn add_extended(extended: &mut Vec<(Arc<str>, i64)>, other: &[(Arc<str>, i64)], sign: i64) {
    for (name, amount) in other {
        let slot = extended_slot(extended, name);
        *slot = slot.saturating_add(amount.saturating_mul(sign));
    }
    extended.retain(|(_, amount)| *amount != 0);
}
