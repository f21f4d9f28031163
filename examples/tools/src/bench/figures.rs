//! What a benchmark measured.

use std::time::Duration;

use tokio::time::Instant;

/// One measured figure; larger is better unless its name ends in a unit of time or size.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    /// Its name, stable over versions.
    pub(crate) name: String,
    /// Our part's.
    pub(crate) ours: f64,
    /// The stock part's, if it was there.
    pub(crate) peer: Option<f64>,
}

impl Figure {
    /// One of ours.
    pub(crate) fn new(name: impl Into<String>, ours: f64) -> Self {
        Self { name: name.into(), ours, peer: None }
    }

    /// With the stock part's.
    #[must_use]
    pub(crate) fn beside(self, peer: f64) -> Self {
        Self { peer: Some(peer), ..self }
    }
}

impl std::fmt::Display for Figure {
    /// Name, ours, peer and ratio, separated by tabs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\t{:.1}", self.name, self.ours)?;
        match self.peer {
            Some(peer) => write!(f, "\t{peer:.1}\t{:.2}", self.ours / peer),
            None => write!(f, "\t-\t-"),
        }
    }
}

pub(crate) fn per_second(operations: usize, since: Instant) -> f64 {
    operations as f64 / since.elapsed().max(Duration::from_micros(1)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_one_line_each() {
        let figures = [Figure::new("put-1", 300.0).beside(100.0), Figure::new("put-64", 10.0)];
        let lines = figures.map(|figure| figure.to_string());
        assert_eq!(lines, ["put-1\t300.0\t100.0\t3.00", "put-64\t10.0\t-\t-"]);
    }
}
