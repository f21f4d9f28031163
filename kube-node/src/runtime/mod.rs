//! Implementations of the [`Runtime`](crate::seam::Runtime) seam.

pub mod embedded;
pub mod fake;
