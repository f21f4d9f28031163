//! What is known of a device.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::resource::v1::{Device, DeviceAttribute};

use crate::resources::nano_value;

/// What selectors can see of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFacts {
    /// The driver it belongs to.
    pub driver: Arc<str>,
    /// Its attributes.
    pub attributes: Facts,
    /// Its capacities.
    pub capacity: Facts,
}

/// Facts by domain and identifier. Those that name no domain belong to the driver's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts(Vec<(Arc<str>, Arc<str>, Fact)>);

/// An attribute or a capacity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Yes or no.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A text.
    Text(Arc<str>),
    /// A semantic version, which may be malformed.
    Version(Arc<str>),
    /// An amount in thousand-millionths.
    Quantity(i128),
    /// Of a type that is not known, or a malformed amount.
    Unknown,
}

impl DeviceFacts {
    /// What is known of a driver's device.
    #[must_use]
    pub fn parse(driver: &Arc<str>, device: &Device) -> Self {
        let attributes =
            device.attributes.iter().flatten().map(|(name, value)| (name.as_str(), attribute(value)));
        let capacity = device.capacity.iter().flatten().map(|(name, capacity)| {
            (name.as_str(), nano_value(&capacity.value.0).map_or(Fact::Unknown, Fact::Quantity))
        });
        Self {
            driver: Arc::clone(driver),
            attributes: Facts::new(driver, attributes),
            capacity: Facts::new(driver, capacity),
        }
    }
}

fn attribute(attribute: &DeviceAttribute) -> Fact {
    let DeviceAttribute { bool, int, string, version } = attribute;
    match (int, bool, string, version) {
        (Some(value), ..) => Fact::Int(*value),
        (_, Some(value), ..) => Fact::Bool(*value),
        (_, _, Some(value), _) => Fact::Text(value.as_str().into()),
        (.., Some(value)) => Fact::Version(value.as_str().into()),
        _ => Fact::Unknown,
    }
}

impl Facts {
    fn new<'a>(driver: &Arc<str>, facts: impl Iterator<Item = (&'a str, Fact)>) -> Self {
        let (mut qualified, mut plain) = (Vec::new(), Vec::new());
        // Few domains are named, and mostly often.
        let mut domains: BTreeMap<&str, Arc<str>> = BTreeMap::new();
        for (name, fact) in facts {
            match name.split_once('/') {
                Some((domain, id)) => {
                    let domain = domains.entry(domain).or_insert_with(|| domain.into());
                    qualified.push((Arc::clone(domain), id.into(), fact));
                }
                None => plain.push((Arc::clone(driver), name.into(), fact)),
            }
        }
        // A fact that names the driver's domain comes before one that implies it.
        qualified.append(&mut plain);
        Self(qualified)
    }

    /// The fact of this name.
    #[must_use]
    pub fn find(&self, domain: &str, id: &str) -> Option<&Fact> {
        self.0.iter().find(|(d, i, _)| **i == *id && **d == *domain).map(|(.., fact)| fact)
    }

    /// The domains that have facts, each once.
    pub fn domains(&self) -> impl Iterator<Item = Arc<str>> {
        let seen_before =
            |place: usize, domain: &str| self.0.iter().take(place).any(|(other, ..)| **other == *domain);
        let domains =
            self.0.iter().enumerate().filter(move |(place, (domain, ..))| !seen_before(*place, domain));
        domains.map(|(_, (domain, ..))| Arc::clone(domain))
    }

    /// The identifiers of a domain's facts.
    pub fn ids(&self, domain: &str) -> impl Iterator<Item = Arc<str>> {
        self.0.iter().filter(move |(other, ..)| **other == *domain).map(|(_, id, _)| Arc::clone(id))
    }
}
