//! Tests of the stores from outside.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod conformance;
mod crash;
mod durable;
mod model;
mod upkeep;
