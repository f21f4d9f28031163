//! Numbers that many threads add to and a page of metrics tells: nothing but atomics.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number of what there is at the moment.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicI64);

impl Gauge {
    pub(crate) fn add(&self, amount: i64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, number: i64) {
        self.0.store(number, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many values are up to which bound.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: Box<[f64]>,
    /// One for each bound, and one for what is beyond.
    counts: Box<[AtomicU64]>,
    /// In billionths, so that it can be added to.
    sum: AtomicU64,
}

impl Histogram {
    /// One whose bounds double `times` from the `first` on.
    pub(crate) fn doubling(first: f64, times: i32) -> Self {
        Self::new((0..times).map(|n| first * 2f64.powi(n)))
    }

    pub(crate) fn new(bounds: impl IntoIterator<Item = f64>) -> Self {
        let bounds: Box<[f64]> = bounds.into_iter().collect();
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    pub(crate) fn note(&self, time: Duration) {
        self.add(time.as_secs_f64(), u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Notes a whole number.
    pub(crate) fn note_number(&self, number: u32) {
        self.add(number.into(), u64::from(number) * 1_000_000_000);
    }

    fn add(&self, value: f64, billionths: u64) {
        let at = self.bounds.iter().take_while(|bound| **bound < value).count();
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(billionths, Ordering::Relaxed);
    }

    /// Each bound with the number of values up to it, the last one without bound.
    pub(crate) fn up_to(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(&self.counts).scan(0, |total, (bound, count)| {
            *total += count.load(Ordering::Relaxed);
            Some((bound, *total))
        })
    }

    pub(crate) fn sum(&self) -> f64 {
        Duration::from_nanos(self.sum.load(Ordering::Relaxed)).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_up_to_each_bound() {
        let histogram = Histogram::doubling(0.5, 3);
        [500, 501, 1500, 9000].iter().for_each(|ms| histogram.note(Duration::from_millis(*ms)));
        let found: Vec<_> = histogram.up_to().collect();
        assert_eq!(found, [(0.5, 1), (1.0, 2), (2.0, 3), (f64::INFINITY, 4)]);
        assert!((histogram.sum() - 11.501).abs() < 1e-9);
    }
}
