//! Two programs under the same load, in turn.

use std::fmt;

use super::programs::Program;
use crate::Failure;

/// Resampled sets from which an interval is read.
const RESAMPLED: usize = 2_000;

/// Which way a figure should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    More,
    Less,
}

/// A load for one program at a time.
pub(super) trait Workload {
    /// A program that is ready for it.
    type Ready;

    /// What it measures, in the order of a sample's values.
    fn figures(&self) -> Vec<(String, Better)>;

    /// Pairs to run instead of what was asked for, if each takes long.
    fn pairs(&self, asked: usize) -> usize {
        asked
    }

    /// Starts a program and fills it.
    async fn prepare(&self, program: &Program) -> Result<Self::Ready, Failure>;

    /// Measures it once.
    async fn sample(&self, ready: &mut Self::Ready) -> Result<Vec<f64>, Failure>;
}

/// A figure of both programs.
#[derive(Clone, Debug)]
pub(crate) struct Compared {
    pub(super) name: String,
    pub(super) better: Better,
    pub(super) samples: Pairs,
}

/// Samples of both programs, in the order in which they were taken; of one only if there is no other.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    pub(super) ours: Vec<f64>,
    pub(super) peer: Vec<f64>,
}

/// Measures `programs`, ours first, under a workload.
pub(super) async fn run<W: Workload>(
    workload: &W,
    programs: &[Program],
    pairs: usize,
) -> Result<Vec<Compared>, Failure> {
    let mut ready = Vec::new();
    for program in programs {
        ready.push(workload.prepare(program).await?);
    }
    let figures = workload.figures().into_iter();
    let mut all: Vec<_> =
        figures.map(|(name, better)| Compared { name, better, samples: Pairs::default() }).collect();
    for pair in 0..=workload.pairs(pairs) {
        let mut order: Vec<usize> = (0..ready.len()).collect();
        if pair % 2 == 1 {
            order.reverse();
        }
        for side in order {
            let Some(ready) = ready.get_mut(side) else { continue };
            let sample = workload.sample(ready).await?;
            // What is run first warms up.
            for (figure, value) in all.iter_mut().zip(sample).filter(|_| pair > 0) {
                let samples = &mut figure.samples;
                if side == 0 { samples.ours.push(value) } else { samples.peer.push(value) }
            }
        }
    }
    Ok(all)
}

impl Compared {
    /// How much better we are, pair by pair.
    pub(super) fn ratios(&self) -> Vec<f64> {
        let pairs = self.samples.ours.iter().zip(&self.samples.peer);
        pairs
            .map(|(ours, peer)| if self.better == Better::More { ours / peer } else { peer / ours })
            .collect()
    }

    /// The middle ratio, and where it lies with 95 %.
    pub(super) fn ratio(&self) -> Option<(f64, [f64; 2])> {
        let ratios = self.ratios();
        let mut random = fastrand::Rng::with_seed(1);
        let mut again =
            || median((0..ratios.len()).filter_map(|_| random.choice(&ratios).copied()).collect());
        let mut medians: Vec<f64> = (0..RESAMPLED).map(|_| again()).collect();
        medians.sort_by(f64::total_cmp);
        let at = |share: f64| medians.get((share * RESAMPLED as f64) as usize).copied();
        Some((Some(median(ratios)).filter(|ratio| !ratio.is_nan())?, [at(0.025)?, at(0.975)?]))
    }
}

/// The middle one, not a number if there is none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().wrapping_sub(1) / 2), values.get(values.len() / 2));
    low.zip(high).map_or(f64::NAN, |(low, high)| f64::midpoint(*low, *high))
}

impl fmt::Display for Compared {
    /// Name, ours, peer, how much better we are and within what, separated by tabs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{:.1}", self.name, median(self.samples.ours.clone()))?;
        let Some((ratio, [low, high])) = self.ratio() else { return write!(f, "\t-\t-") };
        write!(f, "\t{:.1}", median(self.samples.peer.clone()))?;
        match ratio.is_finite() {
            true => write!(f, "\t{ratio:.2}\t[{low:.2}, {high:.2}]"),
            // One of them is nothing.
            false => write!(f, "\t-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_of_a_cost_is_better() {
        let samples = Pairs { ours: vec![10.0, 12.0, 11.0], peer: vec![40.0, 36.0, 55.0] };
        let mut figure = Compared { name: "cpu-us".into(), better: Better::Less, samples };
        assert_eq!(figure.to_string(), "cpu-us\t11.0\t40.0\t4.00\t[3.00, 5.00]");
        figure.better = Better::More;
        assert_eq!(figure.ratio().map(|(ratio, _)| ratio), Some(0.25));
        (figure.better, figure.samples.ours) = (Better::Less, vec![0.0]);
        assert_eq!(figure.to_string(), "cpu-us\t0.0\t40.0\t-");
        figure.samples.ours = vec![11.0];
        figure.samples.peer.clear();
        assert_eq!(figure.to_string(), "cpu-us\t11.0\t-\t-");
    }
}
