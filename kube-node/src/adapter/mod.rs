//! Implementations of the [seams](crate::seam) over somebody else's protocol.

pub mod cri;
