//! The compiled form of services: a value that a [`crate::Dataplane`] makes real.

mod changes;
mod frontend;
mod set;

pub use changes::{Change, Changes, Version};
pub use frontend::{Backend, Destination, Family, Frontend, FrontendKey, Masquerade, Protocol, Target};
pub use set::{Ruleset, ServiceRules};
