//! Configuration: of the driver as a struct, and of a whole process as a `KubeSchedulerConfiguration`.

mod check;
mod complete;
mod configz;
mod document;
mod extenders;
mod point;
mod profile;
mod settings;
mod shape;

#[cfg(test)]
mod tests;

pub use settings::{ClientConnection, LeaderElection, Settings};

use crate::Error;
use crate::clock::Clock;
use crate::driver::WaitingPods;
use crate::extender::Extender;
use crate::framework::Profile;
use crate::metrics::Metrics;
use crate::queue::QueueConfig;

/// Configuration of a [`Scheduler`](crate::Scheduler).
#[derive(Debug, Clone)]
pub struct Config {
    /// One profile for each `schedulerName` to serve. Default: the `default-scheduler`.
    pub profiles: Vec<Profile>,
    /// Times and bounds of the queue.
    pub queue: QueueConfig,
    /// Bindings under way at a time; scheduling pauses when there are as many. Default 256.
    pub max_bindings: usize,
    /// Events waiting to be sent; further ones are dropped, while status updates are never. Default 4,096.
    pub max_reports: usize,
    /// Seeds the choice between equally good nodes. Default 0.
    pub seed: u64,
    /// Name of this process in the events it records. Default `kube-sched`.
    pub reporting_instance: String,
    /// The wall clock for conditions and events. Default: the machine's time.
    pub clock: Clock,
    /// What is counted; register it to see it. Default: counters of its own.
    pub metrics: Metrics,
    /// Who else has a say, in this order. Default: nobody.
    pub extenders: Vec<Extender>,
    /// The pods that permit plugins hold back; share it with plugins that let them go. Default: an empty list.
    pub waiting_pods: WaitingPods,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profiles: vec![Profile::default()],
            queue: QueueConfig::default(),
            max_bindings: 256,
            max_reports: 4096,
            seed: 0,
            reporting_instance: "kube-sched".to_owned(),
            clock: Clock::system(),
            metrics: Metrics::default(),
            extenders: Vec::new(),
            waiting_pods: WaitingPods::default(),
        }
    }
}

impl Config {
    /// Whether the parts fit together.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no profile, two have the same name, one is incomplete or a bound is zero.
    pub fn validate(&self) -> Result<(), Error> {
        let names: Vec<_> = self.profiles.iter().map(|profile| profile.scheduler_name.as_str()).collect();
        let twice = |(place, name): (usize, &&str)| names.iter().take(place).any(|other| other == name);
        if names.is_empty() || names.iter().enumerate().any(twice) {
            return Err(Error::Config(
                "there must be at least one profile, each with its own scheduler name".to_owned(),
            ));
        }
        if self.max_bindings == 0 || self.max_reports == 0 {
            return Err(Error::Config("bounds must be positive".to_owned()));
        }
        self.queue.validate()?;
        self.profiles.iter().try_for_each(Profile::validate)
    }
}
