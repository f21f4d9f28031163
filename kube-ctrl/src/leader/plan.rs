//! What a candidate does with a lease it has read.

use super::LeaderConfig;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;
use std::time::Duration;
use tokio::time::Instant;

/// The lease as it was last seen to change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    spec: LeaseSpec,
    at: Instant,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Somebody else holds it.
    Wait,
    /// There is none: make it ours.
    Create(Lease),
    /// It is free, expired or ours: take or renew it.
    Replace(Lease),
}

/// Notes when the lease changed, on our own clock.
pub(super) fn observe(seen: Option<Seen>, lease: Option<&Lease>, now: Instant) -> Option<Seen> {
    let spec = lease?.spec.clone().unwrap_or_default();
    match seen {
        Some(seen) if seen.spec == spec => Some(seen),
        _ => Some(Seen { spec, at: now }),
    }
}

pub(super) fn step(
    config: &LeaderConfig,
    lease: Option<Lease>,
    seen: Option<&Seen>,
    instant: Instant,
    now: Timestamp,
) -> Step {
    let Some(mut lease) = lease else {
        let metadata = ObjectMeta {
            name: Some(config.name.clone()),
            namespace: Some(config.namespace.clone()),
            ..ObjectMeta::default()
        };
        return Step::Create(Lease { metadata, spec: Some(held(config, now, now, 0)) });
    };
    let spec = lease.spec.clone().unwrap_or_default();
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    let transitions = spec.lease_transitions.unwrap_or(0);
    let fresh = seen.is_some_and(|seen| instant < seen.at + duration(&spec));
    let acquired = spec.acquire_time.as_ref().map_or(now, |time| time.0);
    lease.spec = Some(match holder {
        ours if ours == config.identity => held(config, acquired, now, transitions),
        "" => held(config, now, now, transitions + 1),
        _ if fresh => return Step::Wait,
        _ => held(config, now, now, transitions + 1),
    });
    Step::Replace(lease)
}

fn duration(spec: &LeaseSpec) -> Duration {
    Duration::from_secs(spec.lease_duration_seconds.and_then(|seconds| seconds.try_into().ok()).unwrap_or(0))
}

fn held(config: &LeaderConfig, acquired: Timestamp, renewed: Timestamp, transitions: i32) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(config.identity.clone()),
        lease_duration_seconds: Some(i32::try_from(config.lease_duration.as_secs()).unwrap_or(i32::MAX)),
        acquire_time: Some(MicroTime(acquired)),
        renew_time: Some(MicroTime(renewed)),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    }
}

/// The lease given back, if it is ours.
pub(super) fn released(config: &LeaderConfig, mut lease: Lease, now: Timestamp) -> Option<Lease> {
    let spec = lease.spec.as_mut()?;
    if spec.holder_identity.as_deref() != Some(config.identity.as_str()) {
        return None;
    }
    *spec = LeaseSpec {
        holder_identity: Some(String::new()),
        lease_duration_seconds: Some(1),
        ..held(config, now, now, spec.lease_transitions.unwrap_or(0))
    };
    Some(lease)
}
