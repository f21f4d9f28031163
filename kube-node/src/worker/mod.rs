//! One worker per pod: looks at the runtime, asks the pure [`plan`](crate::pod) what to do, carries it out and reports.

mod context;
mod driver;
mod hooks;
mod lifecycle;
mod ops;
mod pull;
mod report;
mod start;

pub(crate) use context::{Context, Latest};
pub(crate) use driver::{Admission, Worker};
