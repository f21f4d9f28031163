//! The three ways to patch an object.
//!
//! All of them change a value in memory; decoding, defaulting and validation of the result are the caller's.

mod json;
mod merge;
mod strategic;

#[cfg(test)]
mod tests;

pub use json::{MAX_OPERATIONS, json_patch};
pub use merge::merge_patch;
pub use strategic::strategic_merge;

/// A patch that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The patch is not what its type says: 400 BadRequest.
    #[error("{0}")]
    Malformed(String),
    /// Too many operations: 413 RequestEntityTooLarge.
    #[error("The allowed maximum operations in a JSON patch is {max}, got {got}")]
    TooMany {
        /// How many are allowed.
        max: usize,
        /// How many there were.
        got: usize,
    },
    /// The patch does not fit the object (a failed test, a path that does not exist): 422 Invalid.
    #[error("{0}")]
    Unprocessable(String),
}
