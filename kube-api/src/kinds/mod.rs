//! The kinds the server knows: one row per kind, and the rules that are a kind's own.
//!
//! [`Kind`] is a row: names, scope, verbs, subresources, schema, printer columns, selectable fields and a [`Strategy`]. The
//! generic rules (metadata, generation, what a status update may touch) are methods of [`Kind`]; a strategy adds what only
//! this kind knows. [`Kinds`] is the table; [`Kinds::builtin`] has the kinds of Kubernetes itself. Custom resources are
//! rows of the same type.
//!
//! Order of calls for a write: [`Kind::default`] → admission → [`Kind::prepare_create`] (or `prepare_update`,
//! `prepare_status_update`) → [`Kind::validate`] (or `validate_update`, `validate_status_update`) → store.

mod convert;
mod decoded;
mod kind;
mod metadata;
pub mod names;
mod rows;
mod rules;
mod strategy;
mod table;
mod validate;

#[cfg(test)]
mod robustness;
#[cfg(test)]
mod tests;

pub use kind::{Kind, Scope, SelectableField, StorageKey, Subresource};
pub use names::NameRule;
pub use strategy::{Plain, Strategy};
pub use table::{GroupVersion, Kinds};
