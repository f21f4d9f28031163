//! Reading a plugin's arguments, and what several plugins demand of theirs.

mod selector;
mod shape;

#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;

use crate::Error;
use crate::complaint::{Complaint, Complaints};
use crate::framework::PluginArgs;

pub(super) use selector::check_affinity;
pub(super) use shape::{ShapePoint, check_shape};

/// The error for arguments that make no sense.
fn refuse(plugin: &str, reason: String) -> Error {
    Error::PluginArgs { plugin: plugin.to_owned(), complaints: vec![Complaint::general(reason)] }
}

/// Fails if there are complaints.
pub(super) fn accept(plugin: &str, complaints: Complaints) -> Result<(), Error> {
    let refuse = |complaints| Error::PluginArgs { plugin: plugin.to_owned(), complaints };
    complaints.into_result().map_err(refuse)
}

/// Decodes arguments that may have some of `fields`. Refusing others is better than doing something else than was asked.
pub(super) fn decode<T: DeserializeOwned + Default>(
    plugin: &str,
    args: &PluginArgs,
    fields: &[&str],
) -> Result<T, Error> {
    if args.is_null() {
        return Ok(T::default());
    }
    let object = args.as_object().ok_or_else(|| refuse(plugin, "not an object".to_owned()))?;
    let known =
        |field: &&String| matches!(field.as_str(), "apiVersion" | "kind") || fields.contains(&field.as_str());
    if let Some(field) = object.keys().find(|field| !known(field)) {
        return Err(refuse(plugin, format!("strict decoding error: unknown field {field:?}")));
    }
    T::deserialize(args).map_err(|error| refuse(plugin, error.to_string()))
}

/// The arguments of plugins that take none. Most plugins cannot be set up differently.
pub(super) fn none(plugin: &str, args: &PluginArgs) -> Result<(), Error> {
    #[derive(Default, serde::Deserialize)]
    struct Nothing {}
    decode::<Nothing>(plugin, args, &[]).map(drop)
}
