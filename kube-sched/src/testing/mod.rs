//! The workloads of upstream's scheduler_perf, as objects: for benchmarks of a scheduler, whatever they measure.

mod replay;
mod shape;

pub use replay::{Replay, Replayed};
pub use shape::{HIGH_PRIORITY, SHAPES, Shape};
