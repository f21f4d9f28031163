//! What the runtime's errors mean to the agent.

use std::error::Error as _;

use cri_client::Error as CriError;

use crate::{Error, Result};

const RUNTIME: &str = "container runtime";

/// Turns an error of a call about the `kind` called `name` into one of ours, for `map_err`.
pub(super) fn about(kind: &'static str, name: &str) -> impl FnOnce(CriError) -> Error {
    let name = name.to_owned();
    move |error| match error {
        CriError::NotFound { .. } => Error::not_found(kind, name),
        CriError::Deadline { .. } => Error::Deadline(error.to_string()),
        CriError::AlreadyExists { message, .. } => Error::Conflict(message),
        CriError::Invalid { message, .. } => Error::Invalid(message),
        CriError::Unsupported { rpc } => Error::Unsupported(rpc),
        CriError::Failed { message, .. } => Error::Failed(message),
        CriError::Unavailable { message, .. } => Error::Unavailable { what: RUNTIME, reason: message },
        // Unreachable, a broken session, and what later versions may add: nothing is known to have happened.
        other => Error::Unavailable { what: RUNTIME, reason: chain(&other) },
    }
}

/// As [`about`], for calls about nothing in particular.
pub(super) fn call(error: CriError) -> Error {
    about("object", "")(error)
}

/// Nothing left to stop or remove is success.
pub(super) fn gone_is_done<T>(result: cri_client::Result<T>, kind: &'static str, name: &str) -> Result<()> {
    match result {
        Err(error) if !error.is_not_found() => Err(about(kind, name)(error)),
        _ => Ok(()),
    }
}

/// Whether a sandbox was refused because of its handler. Neither containerd nor CRI-O gives that a code of its own, so it is known by their words.
pub(super) fn unknown_handler(message: &str) -> bool {
    ["no runtime for ", "failed to find runtime handler "].iter().any(|words| message.contains(words))
}

/// An error with its sources, since the transport's say more than their wrapper.
fn chain(error: &CriError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
