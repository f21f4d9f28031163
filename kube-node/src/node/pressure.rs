//! When the node counts as short of memory, disk or processes: the hard thresholds of upstream's eviction manager.

use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::machine::Left;
use crate::{Error, Result, pod::quantity};

/// What has to be left of a resource, or the node reports pressure; a share of the whole or an amount.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Threshold {
    /// Of 1.
    Share(f64),
    /// Bytes, inodes or processes.
    Amount(i64),
}

impl Threshold {
    fn is_crossed(self, left: Left) -> bool {
        let least = match self {
            Self::Share(share) => left.all as f64 * share,
            Self::Amount(amount) => amount as f64,
        };
        // A file system that counts no inodes says that it has none at all.
        left.all > 0 && (left.free as f64) < least
    }
}

impl FromStr for Threshold {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let Some(percent) = text.strip_suffix('%') else {
            let amount = quantity::parse(&Quantity(text.to_owned())).ok_or(())?;
            return if amount < 0 { Err(()) } else { Ok(Self::Amount(amount)) };
        };
        let percent: f64 = percent.parse().map_err(drop)?;
        if (0.0..=100.0).contains(&percent) { Ok(Self::Share(percent / 100.0)) } else { Err(()) }
    }
}

/// The signals' names, in the order of [`EvictionHard::thresholds`].
const SIGNALS: [&str; 6] = [
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "pid.available",
];

/// Thresholds below which the node reports `MemoryPressure`, `DiskPressure` or `PIDPressure`, which keep new pods away from it.
///
/// Read from the kubelet's own notation, a signal that is not named having no threshold:
///
/// ```
/// let thresholds: kube_node::EvictionHard = "memory.available<100Mi,nodefs.available<5%".parse()?;
/// assert!("nodefs.available<5 percent".parse::<kube_node::EvictionHard>().is_err());
/// # Ok::<(), kube_node::Error>(())
/// ```
///
/// The default is upstream's: `memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%`.
/// Images are looked for on the file system of [`Config::root_dir`](crate::Config::root_dir) too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvictionHard {
    thresholds: [Option<Threshold>; 6],
}

impl Default for EvictionHard {
    fn default() -> Self {
        use Threshold::{Amount, Share};
        let (memory, inodes) = (Some(Amount(100 << 20)), Some(Share(0.05)));
        Self { thresholds: [memory, Some(Share(0.10)), inodes, Some(Share(0.15)), inodes, None] }
    }
}

impl EvictionHard {
    /// Pressure on memory, disk and processes, in this order.
    pub(crate) fn pressures(&self, memory: Left, disk: Left, inodes: Left, pids: Left) -> [bool; 3] {
        let left = [memory, disk, inodes, disk, inodes, pids];
        let crossed = |i: usize| self.thresholds[i].is_some_and(|threshold| threshold.is_crossed(left[i]));
        [crossed(0), (1..5).any(crossed), crossed(5)]
    }
}

impl FromStr for EvictionHard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut thresholds = [None; 6];
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let invalid = |why: &str| Error::Invalid(format!("eviction threshold {part:?}: {why}"));
            let (signal, value) =
                part.split_once('<').ok_or_else(|| invalid("needs the form SIGNAL<VALUE"))?;
            let known = SIGNALS.iter().position(|known| *known == signal);
            let known = known.ok_or_else(|| invalid(&format!("knows the signals {}", SIGNALS.join(", "))))?;
            let value =
                value.parse().map_err(|()| invalid("needs a quantity or a percentage from 0% to 100%"))?;
            thresholds[known] = Some(value);
        }
        Ok(Self { thresholds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: Left = Left { free: 1 << 40, all: 1 << 40 };

    #[test]
    fn the_default_is_what_upstream_documents() {
        let text = "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%";
        assert_eq!(text.parse::<EvictionHard>().expect("valid"), EvictionHard::default());
    }

    #[test]
    fn a_threshold_is_crossed_below_it() {
        let rules: EvictionHard =
            "memory.available<1Ki,nodefs.available<50%,pid.available<10".parse().expect("valid");
        let left = |free| Left { free, all: 2000 };
        assert_eq!(rules.pressures(left(1024), left(1000), left(0), left(10)), [false; 3]);
        assert_eq!(rules.pressures(left(1023), left(999), left(0), left(9)), [true; 3]);
    }

    #[test]
    fn a_file_system_without_inodes_is_not_short_of_them() {
        let none = Left { free: 0, all: 0 };
        assert_eq!(EvictionHard::default().pressures(PLENTY, PLENTY, none, PLENTY), [false; 3]);
    }

    #[test]
    fn what_is_not_a_threshold_is_refused_by_name() {
        let bad = [
            "memory.available",
            "nodefs<10%",
            "nodefs.available<x",
            "pid.available<-1",
            "nodefs.available<101%",
        ];
        for bad in bad {
            let error = bad.parse::<EvictionHard>().expect_err(bad).to_string();
            assert!(error.contains(bad), "{error}");
        }
    }
}
