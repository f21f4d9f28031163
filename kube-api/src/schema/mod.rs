//! What the built-in kinds look like: types, list and merge keys, defaults, descriptions.
//!
//! [`Schema`] is one node: a scalar, a list, a map or a reference to a [`Definition`] with properties. The definitions of the
//! built-in kinds are embedded as text (`kube-api/schemas/structure.txt`) and parsed one by one when first used, so that a
//! server which never meets a kind never pays for it; descriptions lie in a second, compressed file that only OpenAPI opens.
//! [`Definition::check`] brings a decoded value into the shape of its schema.

mod builtin;
mod check;
mod node;
mod parse;

#[cfg(test)]
mod tests;

pub use builtin::{builtin, builtin_definitions};
pub use check::{CheckError, FieldValidation};
pub use node::{Definition, ListType, PatchStrategy, Property, Schema, SchemaRef, Type};

pub(crate) use builtin::description;
