//! Reading a plugin's arguments.

use serde::de::DeserializeOwned;

use crate::Error;
use crate::framework::PluginArgs;

/// The error for arguments that make no sense.
pub(super) fn refuse(plugin: &str, reason: String) -> Error {
    Error::PluginArgs { plugin: plugin.to_owned(), reason }
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
        return Err(refuse(plugin, format!("unknown field {field:?}")));
    }
    T::deserialize(args).map_err(|error| refuse(plugin, error.to_string()))
}
