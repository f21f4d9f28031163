//! The pods that wait for a node: an ordered active queue, a back-off queue and a pool of unschedulable pods that only
//! events wake. Time is an argument, so the queue is as testable as a map.

mod arrivals;
mod config;
mod hints;
mod pool;
mod rejections;
mod waiting;

#[cfg(test)]
mod tests;

pub use arrivals::Arrival;
pub use config::QueueConfig;
pub use pool::{QueueSizes, SchedulingQueue};
pub use rejections::Rejection;
pub use waiting::QueuedPod;
