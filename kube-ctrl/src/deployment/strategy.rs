//! How many pods may be missing and how many too many.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The numbers a deployment's strategy comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) replicas: i32,
    pub(super) max_surge: i32,
    pub(super) max_unavailable: i32,
}

impl Bounds {
    pub(super) fn of(spec: &DeploymentSpec) -> Self {
        let replicas = spec.replicas.unwrap_or(1);
        if !is_rolling(spec) {
            return Self { replicas, max_surge: 0, max_unavailable: 0 };
        }
        let rolling = spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
        let quarter = IntOrString::String("25%".into());
        let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref()).unwrap_or(&quarter);
        let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref()).unwrap_or(&quarter);
        let max_surge = resolve(surge, replicas, true);
        let max_unavailable = match (max_surge, resolve(unavailable, replicas, false)) {
            _ if replicas == 0 => 0,
            // Neither more nor fewer pods would mean that nothing could ever move.
            (0, 0) => 1,
            (_, unavailable) => unavailable.min(replicas),
        };
        Self { replicas, max_surge, max_unavailable }
    }

    /// The most pods there may be.
    pub(super) fn max_total(self) -> i32 {
        self.replicas.saturating_add(self.max_surge)
    }

    /// The fewest available pods there may be.
    pub(super) fn min_available(self) -> i32 {
        self.replicas - self.max_unavailable
    }
}

/// Whether pods are replaced a few at a time.
pub(super) fn is_rolling(spec: &DeploymentSpec) -> bool {
    spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) != Some("Recreate")
}

/// An absolute number, or a percentage of `total`.
fn resolve(value: &IntOrString, total: i32, up: bool) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let percent: i64 = text.strip_suffix('%').and_then(|digits| digits.parse().ok()).unwrap_or(0);
            let hundredths = percent * i64::from(total);
            let rounded = if up { (hundredths + 99).div_euclid(100) } else { hundredths.div_euclid(100) };
            i32::try_from(rounded).unwrap_or(i32::MAX)
        }
    }
}

/// The seconds without progress after which a rollout has failed; none if that never happens.
pub(super) fn progress_deadline(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref()?.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)
}
