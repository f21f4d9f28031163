//! When a row of probe results counts.

/// Turns single results into a verdict by the probe's thresholds.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    success_threshold: u32,
    failure_threshold: u32,
    last: Option<bool>,
    run: u32,
}

impl Counter {
    pub(crate) fn new(success_threshold: i32, failure_threshold: i32) -> Self {
        let at_least_one = |n: i32| u32::try_from(n).unwrap_or(1).max(1);
        Self {
            success_threshold: at_least_one(success_threshold),
            failure_threshold: at_least_one(failure_threshold),
            last: None,
            run: 0,
        }
    }

    /// The verdict that this result completes, if any; repeated for every further result of the same kind.
    pub(crate) fn record(&mut self, success: bool) -> Option<bool> {
        self.run = if self.last == Some(success) { self.run.saturating_add(1) } else { 1 };
        self.last = Some(success);
        let needed = if success { self.success_threshold } else { self.failure_threshold };
        (self.run >= needed).then_some(success)
    }
}
