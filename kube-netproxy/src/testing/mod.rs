//! A dataplane in memory, and what every dataplane has to pass (feature `testing`).

mod fake;
mod suite;

pub use fake::FakeDataplane;
pub use suite::dataplane_suite;
