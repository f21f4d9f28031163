//! What expressions compute with.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use regex::Regex;

use super::moment::Moment;
use super::named::NamedFormat;
use super::semver::Version;
use super::url::Url;
use crate::snapshot::{DeviceFacts, Fact};

pub(super) const DURATION: &str = "google.protobuf.Duration";
pub(super) const TIMESTAMP: &str = "google.protobuf.Timestamp";

/// A value of an expression or of its evaluation. The device's own maps are looked up where they are.
#[derive(Debug, Clone)]
pub(super) enum Value<'d> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    /// In thousand-millionths of a second.
    Duration(i64),
    Timestamp(Moment),
    /// A type, by its name.
    Type(&'static str),
    List(Arc<Vec<Value<'d>>>),
    Map(Arc<Vec<(Value<'d>, Value<'d>)>>),
    /// In thousand-millionths.
    Quantity(i128),
    Version(Arc<Version>),
    Ip(IpAddr),
    Cidr(IpNet),
    Url(Arc<Url>),
    Format(NamedFormat),
    /// A regular expression that stands in the expression, compiled.
    Pattern(Arc<Regex>),
    Optional(Option<Arc<Value<'d>>>),
    Device(&'d DeviceFacts),
    /// Attributes or capacities by domain.
    Domains(&'d DeviceFacts, Side),
    /// Attributes or capacities of one domain, which may have none.
    Domain(&'d DeviceFacts, Side, Arc<str>),
}

/// One of the two kinds of facts about a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Attributes,
    Capacity,
}

impl<'d> Value<'d> {
    pub(super) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(Arc::new(items))
    }

    /// The name of its type in messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) | Self::Pattern(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Duration(_) => DURATION,
            Self::Timestamp(_) => TIMESTAMP,
            Self::Type(_) => "type",
            Self::List(_) => "list",
            Self::Map(_) | Self::Domains(..) | Self::Domain(..) => "map",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Version(_) => "kubernetes.Semver",
            Self::Ip(_) => "net.IP",
            Self::Cidr(_) => "net.CIDR",
            Self::Url(_) => "kubernetes.URL",
            Self::Format(_) => "kubernetes.NamedFormat",
            Self::Optional(_) => "optional_type",
            Self::Device(_) => "kubernetes.DRADevice",
        }
    }

    fn fact(fact: &Fact) -> Result<Self, String> {
        Ok(match fact {
            Fact::Bool(value) => Self::Bool(*value),
            Fact::Int(value) => Self::Int(*value),
            Fact::Text(value) => Self::Text(Arc::clone(value)),
            Fact::Version(text) => match Version::parse(text) {
                Ok(version) => Self::Version(Arc::new(version)),
                Err(reason) => return Err(format!("parse semantic version: {reason}")),
            },
            Fact::Quantity(amount) => Self::Quantity(*amount),
            Fact::Unknown => return Err("unsupported attribute value".to_owned()),
        })
    }

    /// What stands under a key; `None` if nothing does.
    pub(super) fn at(&self, key: &Self) -> Result<Option<Self>, String> {
        match (self, key) {
            (Self::Device(device), Self::Text(field)) => Ok(match &**field {
                "driver" => Some(Self::Text(Arc::clone(&device.driver))),
                "attributes" => Some(Self::Domains(device, Side::Attributes)),
                "capacity" => Some(Self::Domains(device, Side::Capacity)),
                _ => None,
            }),
            (Self::Domains(device, side), Self::Text(domain)) => {
                Ok(Some(Self::Domain(device, *side, Arc::clone(domain))))
            }
            (Self::Domain(device, side, domain), Self::Text(id)) => {
                side.of(device).find(domain, id).map(Self::fact).transpose()
            }
            (Self::Domains(..) | Self::Domain(..), _) => Ok(None),
            (Self::Map(entries), key) => {
                Ok(entries.iter().find(|(other, _)| other.equals(key)).map(|(_, value)| value.clone()))
            }
            (Self::List(items), key) => Ok(key.as_index().and_then(|index| items.get(index)).cloned()),
            _ => Err("no such overload".to_owned()),
        }
    }

    fn as_index(&self) -> Option<usize> {
        match self {
            Self::Int(index) => usize::try_from(*index).ok(),
            Self::Uint(index) => usize::try_from(*index).ok(),
            Self::Double(index) if index.fract() == 0.0 => format!("{index}").parse().ok(),
            _ => None,
        }
    }

    /// What stands at each index of a list or under each key of a map.
    pub(super) fn pairs(&self) -> Result<Option<Vec<(Self, Self)>>, String> {
        Ok(Some(match self {
            Self::List(items) => (0_i64..).map(Self::Int).zip(items.iter().cloned()).collect(),
            Self::Map(entries) => entries.to_vec(),
            Self::Domains(..) | Self::Domain(..) => {
                let mut pairs = Vec::new();
                for key in self.elements().unwrap_or_default() {
                    let value = self.at(&key)?.unwrap_or(Self::Null);
                    pairs.push((key, value));
                }
                pairs
            }
            _ => return Ok(None),
        }))
    }

    /// The elements of a list or the keys of a map.
    pub(super) fn elements(&self) -> Option<Vec<Self>> {
        Some(match self {
            Self::List(items) => items.to_vec(),
            Self::Map(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            Self::Domains(device, side) => side.of(device).domains().map(Self::text).collect(),
            Self::Domain(device, side, domain) => side.of(device).ids(domain).map(Self::text).collect(),
            _ => return None,
        })
    }

    /// Values of different types are different, but for numbers.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.equals(b))
            }
            (
                Self::Map(_) | Self::Domains(..) | Self::Domain(..),
                Self::Map(_) | Self::Domains(..) | Self::Domain(..),
            ) => self.has_entries_of(other),
            (Self::Optional(a), Self::Optional(b)) => match (a, b) {
                (Some(a), Some(b)) => a.equals(b),
                (a, b) => a.is_none() && b.is_none(),
            },
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::Ip(a), Self::Ip(b)) => a == b,
            (Self::Cidr(a), Self::Cidr(b)) => a == b,
            (Self::Url(a), Self::Url(b)) => a == b,
            (Self::Format(a), Self::Format(b)) => a == b,
            (a, b) => a.compare(b) == Some(Ordering::Equal),
        }
    }

    fn has_entries_of(&self, other: &Self) -> bool {
        let (Ok(Some(a)), Ok(Some(b))) = (self.pairs(), other.pairs()) else { return false };
        let has = |key: &Self, value: &Self| b.iter().any(|(k, v)| k.equals(key) && v.equals(value));
        a.len() == b.len() && a.iter().all(|(key, value)| has(key, value))
    }

    /// Whether it is what a variable of its type is when nothing is assigned to it.
    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) | Self::Int(0) | Self::Uint(0) | Self::Optional(None) => true,
            Self::Duration(span) => *span == 0,
            Self::Timestamp(moment) => moment.is_first(),
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Double(value) => *value == 0.0,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
            Self::Domains(..) | Self::Domain(..) => self.elements().is_none_or(|keys| keys.is_empty()),
            _ => false,
        }
    }

    /// Whether values of this type have an order that operators and lists know. Quantities and versions have methods for that.
    pub(super) fn is_comparable(&self) -> bool {
        matches!(
            self,
            Self::Bool(_)
                | Self::Int(_)
                | Self::Uint(_)
                | Self::Double(_)
                | Self::Text(_)
                | Self::Bytes(_)
                | Self::Duration(_)
                | Self::Timestamp(_)
        )
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Uint(_) | Self::Double(_))
    }

    /// The order of two values, if they have one.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Duration(a), Self::Duration(b)) => a.cmp(b),
            (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            (Self::Quantity(a), Self::Quantity(b)) => a.cmp(b),
            (Self::Version(a), Self::Version(b)) => a.cmp(b),
            (Self::Double(a), Self::Double(b)) => return a.partial_cmp(b),
            (Self::Double(a), b) => return a.partial_cmp(&b.whole()?.approximate()),
            (a, Self::Double(b)) => return a.whole()?.approximate().partial_cmp(b),
            (a, b) => a.whole()?.0.cmp(&b.whole()?.0),
        })
    }

    fn whole(&self) -> Option<Whole> {
        match self {
            Self::Int(value) => Some(Whole(i128::from(*value))),
            Self::Uint(value) => Some(Whole(i128::from(*value))),
            _ => None,
        }
    }
}

/// A whole number of either sign.
struct Whole(i128);

impl Whole {
    #[expect(
        clippy::cast_precision_loss,
        reason = "CEL compares whole numbers and floating-point ones as the latter"
    )]
    fn approximate(&self) -> f64 {
        self.0 as f64
    }
}

impl Side {
    pub(super) fn of(self, device: &DeviceFacts) -> &crate::snapshot::Facts {
        match self {
            Self::Attributes => &device.attributes,
            Self::Capacity => &device.capacity,
        }
    }
}
