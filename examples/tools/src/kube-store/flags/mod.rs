//! etcd's flags, its variables and its configuration file, and what they mean.

mod file;
mod read;
mod settings;
mod table;
#[cfg(test)]
mod tests;
mod tokens;
mod value;

pub(crate) use self::read::{Read, Refused, read, usage};
pub(crate) use self::settings::{ClusterState, Engine, Settings};
pub(crate) use self::tokens::TokenFlags;
pub(crate) use self::value::{Place, address};

/// What to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// Serve.
    Serve(Box<Read>),
    /// Say how this is used.
    Help,
    /// Say which release this is.
    Version,
}
