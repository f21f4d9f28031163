//! Objects for tests and benchmarks: small ones, of which a test states what matters to it, and the workloads of upstream's
//! scheduler_perf.

mod objects;
mod replay;
mod shape;

pub use objects::{merge, node, outcome, parse, pod};
pub use replay::{Replay, Replayed};
pub use shape::{HIGH_PRIORITY, SHAPES, Shape};
