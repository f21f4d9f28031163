//! What the devices of a claim must have in common.

use k8s_openapi::api::resource::v1::DeviceConstraint;

use super::needs::Alternative;
use crate::snapshot::{DeviceFacts, Fact};

/// All devices must have the same value of an attribute.
#[derive(Debug)]
pub(super) struct Constraint<'a> {
    /// The requests it is about; none means all.
    requests: &'a [String],
    domain: &'a str,
    id: &'a str,
}

impl<'a> Constraint<'a> {
    /// `None` for a constraint of a type that is not known.
    pub(super) fn new(constraint: &'a DeviceConstraint) -> Option<Self> {
        let name = constraint.match_attribute.as_deref()?;
        // An attribute without a domain is one that no device has.
        let (domain, id) = name.split_once('/').unwrap_or_default();
        Some(Self { requests: constraint.requests.as_deref().unwrap_or_default(), domain, id })
    }

    pub(super) fn concerns(&self, alternative: &Alternative<'_>) -> bool {
        self.requests.is_empty() || alternative.is_meant_by(self.requests)
    }

    fn value<'d>(&self, device: &'d DeviceFacts) -> Option<&'d Fact> {
        device.attributes.find(self.domain, self.id)
    }
}

/// The value that is common so far, and of how many devices.
#[derive(Debug, Clone, Default)]
pub(super) struct Common<'d> {
    value: Option<&'d Fact>,
    devices: usize,
}

impl<'d> Common<'d> {
    /// Adds a device, if that keeps the value common.
    pub(super) fn add(&mut self, constraint: &Constraint<'_>, device: &'d DeviceFacts) -> bool {
        let Some(value) = constraint.value(device).filter(|value| **value != Fact::Unknown) else {
            return false;
        };
        if self.devices > 0 && self.value != Some(value) {
            return false;
        }
        self.value = Some(value);
        self.devices += 1;
        true
    }

    /// Takes a device back that was added.
    pub(super) fn remove(&mut self) {
        self.devices -= 1;
    }
}
