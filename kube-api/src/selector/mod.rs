//! Label and field selectors: parsing with Kubernetes' messages, and matching.

mod field;
mod label;
mod lexer;

#[cfg(test)]
mod tests;

pub use field::{FieldRequirement, FieldSelector};
pub use label::{LabelRequirement, LabelSelector, Operator};

/// A selector that cannot be parsed; the text is what a client reads in a 400 BadRequest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub(crate) String);
